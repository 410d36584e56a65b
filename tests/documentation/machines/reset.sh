#!/usr/bin/env bash
# Make this host what every page begins with. `reset.sh keep`, once, makes what it brings back.
#
# web01, web02, db01: sites in /srv/www, settings in /etc/nginx, a person `anna` with a home, and nothing of ours.
# db01: a database `shop` in MariaDB and in PostgreSQL, each with a user of that name.
# storage01: the accounts, empty; that of `reader` with a backup that cPanel has made.
set -euo pipefail
shopt -s nullglob dotglob

cache=/var/cache/documentation
name=$(hostname)
trees=(srv/www etc/nginx home/anna)

make_trees() {
  id anna >/dev/null 2>&1 || useradd --create-home --shell /bin/bash anna
  mkdir -p /srv/www/shop/images /srv/www/blog /etc/nginx /var/lib/prometheus/node-exporter
  echo "<?php return ['name' => 'the shop of $name'];" >/srv/www/shop/config.php
  echo "<h1>The shop of $name</h1>" >/srv/www/shop/index.html
  # Bytes that are the same on every run.
  openssl enc -aes-128-ctr -nosalt -pass pass:"$name" -pbkdf2 -in /dev/zero 2>/dev/null | head -c 300000 >/srv/www/shop/images/logo.png || true
  seq 1 2000 >/srv/www/blog/posts.txt
  echo 'server { root /srv/www/shop; }' >/etc/nginx/nginx.conf
  echo 'A letter.' >/home/anna/letter.txt
  chown -R anna: /home/anna
  find /srv/www /etc/nginx /home/anna -exec touch -h -d '2026-09-01 08:00:00 UTC' {} +
}

clear_host() {
  local unit
  for unit in /etc/systemd/system/ftp-backup*.timer; do systemctl disable --quiet --now "${unit##*/}"; done
  rm -rf /etc/systemd/system/ftp-backup* /etc/systemd/system/*.wants/ftp-backup* /etc/cron.d/ftp-backup* \
    /usr/local/bin/ftp-backup /usr/local/lib/ftp-backup* /usr/local/lib/ftp_backup* /etc/ftp_backup /var/lib/ftp_backup \
    /var/lib/prometheus/node-exporter/* /etc/nginx /home/anna
  local path
  for path in /root/* /tmp/* /srv/* /mnt/* /opt/*; do
    # What Ansible is at work with stays, and what systemd has given to a service.
    case ${path##*/} in .ssh | .bashrc | .profile | .my.cnf | .ansible | ansible* | systemd-private-*) ;; *) rm -rf "$path" ;; esac
  done
}

reset_databases() {
  local other
  mariadb --skip-column-names -e "SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN
    ('information_schema', 'performance_schema', 'mysql', 'sys')" |
    while read -r other; do mariadb -e "DROP DATABASE \`$other\`"; done
  mariadb --skip-column-names -e "SELECT CONCAT(QUOTE(user), '@', QUOTE(host)) FROM mysql.user WHERE user NOT IN ('root', 'mysql', 'mariadb.sys', '')
    AND is_role = 'N'" |
    while read -r other; do mariadb -e "DROP USER $other"; done
  mariadb <<'SQL'
CREATE DATABASE shop;
USE shop;
CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(40), price DECIMAL(8, 2)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO items VALUES (1, 'lamp', 49.00), (2, 'Stühle', 120.50), (3, 'table', 310.00);
CREATE USER shop@localhost IDENTIFIED BY 'a password of the shop';
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO shop@localhost;
SQL
  cd /
  runuser -u postgres -- psql --quiet --tuples-only --no-align -c "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'" |
    while read -r other; do runuser -u postgres -- dropdb --force "$other"; done
  runuser -u postgres -- psql --quiet --set=ON_ERROR_STOP=1 <<'SQL'
DROP ROLE IF EXISTS shop;
CREATE ROLE shop LOGIN PASSWORD 'a password of the shop';
CREATE DATABASE shop OWNER shop;
\connect shop
SET ROLE shop;
CREATE TABLE orders AS SELECT number AS id, number * 10 AS total FROM generate_series(1, 1000) AS number;
SQL
  printf '[client]\nuser=root\n' >/root/.my.cnf
  chmod 600 /root/.my.cnf
}

reset_storage() {
  local account
  if ! diff -rq "$cache/pure-ftpd" /etc/pure-ftpd >/dev/null; then
    rm -rf /etc/pure-ftpd
    cp -a "$cache/pure-ftpd" /etc/pure-ftpd
    systemctl restart pure-ftpd
  fi
  for account in /srv/ftp/*; do
    case ${account##*/} in
      web01 | web02 | db01 | reader) find "$account" -mindepth 1 -delete ;;
      *) rm -rf "$account" ;;
    esac
  done
  mkdir -p /srv/ftp/reader/cpanel/2026-11-22/accounts
  cp "$cache/bob.tar.gz" /srv/ftp/reader/cpanel/2026-11-22/accounts/
}

if [ "${1:-}" = keep ]; then
  mkdir -p "$cache"
  case $name in
    storage01) rm -rf "$cache/pure-ftpd" && cp -a /etc/pure-ftpd "$cache/" ;;
    *) clear_host && make_trees && tar -C / -cf "$cache/trees.tar" "${trees[@]}" ;;
  esac
fi
case $name in
  storage01) reset_storage ;;
  *) clear_host && tar -C / -xf "$cache/trees.tar" ;;
esac
case $name in db*) reset_databases ;; esac

# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of the server: a given one, or one that vouches for itself and is renewed in time.

The role runs this text on the storage host. Standard input is a JSON object, see ``Wish``; a private key comes that way
and by no other. Standard output is JSON: ``changed``, ``pem`` (the certificates, never the key), ``fingerprint`` (of
the first, SHA-256 in hexadecimal), ``ends``, ``self_made``, and ``missing``, the addresses that one which was made
lacks. With ``check`` nothing is written.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

DAY = 24 * 60 * 60
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----.+?-----END (?:[A-Z]+ )?PRIVATE KEY-----\n?", re.DOTALL)


class Wish(t.TypedDict):
    """What standard input holds; a given *certificate* or *key* is its text, or its path on this host.

    One that was made is made anew for want of the *hostname*, but for want of *addresses* only if they are *demanded*:
    clients trust exactly it, and the addresses that a host happens to have come and go.
    """

    path: str
    certificate: str
    key: str
    hostname: str
    addresses: list[str]
    demanded: bool
    days: int
    renew_before: int
    check: bool


def wanted(wish: Wish, current: str) -> str:
    """Return what the file of the server should hold: the key, and then the certificates."""
    if wish["certificate"]:
        return _given(wish)
    if current and _is_good(wish, current):
        return current
    return "" if wish["check"] else _made(wish)


def _given(wish: Wish) -> str:
    certificate = _text(wish["certificate"])
    key = KEY.search(_text(wish["key"]) if wish["key"] else certificate)
    chain = [text.strip() for text in CERTIFICATE.findall(certificate)]
    if not chain:
        message = "What is given as server_certificate holds no certificate in PEM form."
        raise SystemExit(message)
    if key is None:
        message = "What is given as server_certificate_key holds no private key in PEM form."
        raise SystemExit(message)
    pair = "\n".join([key[0].strip(), *chain]) + "\n"
    of_key = _openssl(["pkey", "-pubout"], pair)
    if of_key != _openssl(["x509", "-noout", "-pubkey"], chain[0]):
        message = "The private key given as server_certificate_key is not that of the certificate."
        raise SystemExit(message)
    return pair


def _text(given: str) -> str:
    return given if given.lstrip().startswith("-----") else Path(given).read_text(encoding="utf-8")


def _is_good(wish: Wish, current: str) -> bool:
    """Tell whether *current* vouches for itself, bears the names it must, and lasts long enough."""
    found = CERTIFICATE.search(current)
    if found is None or KEY.search(current) is None:
        return False
    shown = _openssl(["x509", "-noout", "-issuer", "-subject"], found[0])
    issuer, subject = (re.search(f"{which}=(.*)", shown) for which in ("issuer", "subject"))
    if issuer is None or subject is None or issuer[1] != subject[1]:
        return False
    addresses = wish["addresses"] if wish["demanded"] else []
    if _lacked(found[0], [wish["hostname"], *addresses]):
        return False
    command = ["openssl", "x509", "-noout", "-checkend", str(wish["renew_before"] * DAY)]
    return subprocess.run(command, input=found[0], text=True, capture_output=True, check=False).returncode == 0


def _lacked(certificate: str, names: list[str]) -> list[str]:
    shown = _openssl(["x509", "-noout", "-ext", "subjectAltName"], certificate)
    borne = {_normal(name) for name in re.findall(r"(?:DNS|IP Address):([^,\s]+)", shown)}
    return [name for name in names if _normal(name) not in borne]


def _made(wish: Wish) -> str:
    names = ",".join(f"{'IP' if _is_address(n) else 'DNS'}:{n}" for n in (wish["hostname"], *wish["addresses"]))
    with tempfile.TemporaryDirectory() as directory:
        key, certificate = Path(directory, "key"), Path(directory, "certificate")
        command = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256"]
        command += ["-days", str(wish["days"]), "-subj", f"/CN={wish['hostname'][:64]}"]
        command += ["-addext", f"subjectAltName={names}", "-addext", "extendedKeyUsage=serverAuth"]
        # Python 3.13 is strict: what is trusted as an authority must say that it may sign.
        command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
        _openssl([*command, "-keyout", str(key), "-out", str(certificate)])
        return key.read_text(encoding="ascii") + certificate.read_text(encoding="ascii")


def _normal(name: str) -> str:
    return str(ipaddress.ip_address(name)) if _is_address(name) else name.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _openssl(command: list[str], given: str = "") -> str:
    ended = subprocess.run(["openssl", *command], input=given, text=True, capture_output=True, check=False)
    if ended.returncode:
        message = f"openssl {command[0]} failed: {ended.stderr.strip()}"
        raise SystemExit(message)
    return ended.stdout


def main() -> None:
    """Do what standard input wishes."""
    wish: Wish = json.load(sys.stdin)
    path = Path(wish["path"])
    current = path.read_text(encoding="utf-8") if path.exists() else ""
    content = wanted(wish, current)
    is_private = path.exists() and path.stat().st_mode & 0o777 == 0o600
    changed = content != current or not is_private
    if changed and not wish["check"]:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.new")
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(content)
        aside.replace(path)
    chain = CERTIFICATE.findall(content)
    answer: dict[str, object] = {
        "changed": changed,
        "pem": "".join(chain),
        "fingerprint": "",
        "ends": "",
        "missing": [],
    }
    if chain:
        answer["fingerprint"] = hashlib.sha256(ssl.PEM_cert_to_DER_cert(chain[0])).hexdigest()
        answer["ends"] = _openssl(["x509", "-noout", "-enddate"], chain[0]).strip().partition("=")[2]
        if not wish["certificate"]:
            answer["missing"] = _lacked(chain[0], wish["addresses"])
    answer["self_made"] = not wish["certificate"]
    sys.stdout.write(json.dumps(answer) + "\n")


main()

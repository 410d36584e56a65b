# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads who finds a destination's directory and has never heard of what wrote it.

The tests run commands out of it, as they stand there.
"""

from __future__ import annotations

README = r"""BACKUPS LIE IN THIS DIRECTORY. HERE IS HOW TO GET THE DATA BACK.

They were made by the Ansible collection stowage.ftp_backup. You do not need it,
nor Ansible, nor the machine that was backed up. You need a Linux machine with
room for the data, and either Python 3.9 or newer (way A) or nothing but curl
and tar (way B). Way A is better; way B is there for when A cannot be had.

Nothing below changes anything on the server. Do not delete, rename or add
anything here while you are not sure: the files need each other.


WHAT LIES WHERE

  readme.txt                   this text
  recover.py                   the program for way A: one file, nothing to install
  destination.json             of no use for getting data back
  clients/1f/web01-1f94fe44/   everything of the machine "web01"
    nightly-2a3b62b5/          everything of its backup job "nightly": this is
                               THE JOB'S DIRECTORY, the one to download
      job.json                 the exact names of machine and job
      points/202611/000042-20261122t030000z-1f9c2a.manifest.gz
                               one for each restore point: number 42, begun on
                               22 November 2026 at 03:00:00 UTC. A list of all
                               files, with their sizes, owners and checksums.
                               With .g2 before .manifest, or .g3 and so on, the
                               same once more: the highest number counts
      points/202611/....checkpoint.gz
                               how far a run had come that did not end
      s01/ s02/ ...            the content, in parts that each stand alone
      full-20261122t.../       (called slots below); a job has one kind of the
      pool/                    three. Each manifest names its slot as "pool"
        v00/20261122t030000z-1f9c2a-000017.tar.gz
                               volumes: pieces of tar archives, the file names
                               in them without the leading slash
      lock/                    there while a backup runs, or was cut off

The letters and digits at the end of names only keep similar names apart.


WAY A: WITH recover.py

1. Download the job's directory and recover.py, for instance with lftp. Start it
   and type these lines, with your own server, user, directory (the one in which
   this text lies) and job. It asks for the password when it needs it:

    lftp
    set ftp:ssl-force true
    open -u backup ftp.example.com
    cd backups
    get recover.py
    mirror clients/1f/web01-1f94fe44/nightly-2a3b62b5 job
    quit

   lftp refuses a server whose certificate it cannot prove. If you know why that
   is so, type "set ssl:verify-certificate false" before the open. For a server
   without TLS, type "set ftp:ssl-allow false" instead of the ftp:ssl-force.

   If space is short and one restore point is enough, points/ and the one slot
   that its manifest names will do.

2. See what there is:

    python3 recover.py job

3. Bring one restore point back, into a directory of its own. Be root, so that
   owners and groups come back as well:

    python3 recover.py job --point latest --target restored

   or by its number or id, and only some of it:

    python3 recover.py job --point 42 --target restored --path '/etc' --path '/home/**/*.odt'

   A job whose first run never ended has no restore point. What that run had
   stored comes back as well. It is not complete:

    python3 recover.py job --point checkpoint --target restored

Every byte is checked. What is damaged is named and left out; the rest comes
back. Volumes that end in .tar.zst need the program zstd or, as most systems have
it, its library libzstd.so.1. "python3 recover.py --help" tells more.


WAY B: WITH curl AND tar ALONE

1. Put the password into the file ~/.netrc, as a line of its own:

     machine ftp.example.com login backup password SECRET

   and forbid others to read it (chmod 600 ~/.netrc). Then say once where the
   job's directory is, and see what lies in it:

    job=ftp://ftp.example.com/backups/clients/1f/web01-1f94fe44/nightly-2a3b62b5
    curl --ssl-reqd --netrc --list-only "$job/"

   Leave out --ssl-reqd for a server without TLS. Write --insecure behind it if
   curl cannot prove the server's certificate and you know why.

   Look into points/ and its months in the same way, and fetch the manifest with
   the highest number, or another one, and of one number that with the highest .g.
   Its first line tells the slot, as "pool":

    manifest=points/202611/000042-20261122t030000z-1f9c2a.manifest.gz
    curl --ssl-reqd --netrc -o manifest.gz "$job/$manifest"
    gunzip -c manifest.gz | head -n 1

   Download the volumes of that slot, here s01:

    slot=s01
    fetch() { curl --ssl-reqd --netrc "$@" < /dev/null; }
    for v in $(fetch --list-only "$job/$slot/" | tr -d '\r' | grep '^v'); do
      for f in $(fetch --list-only "$job/$slot/$v/" | tr -d '\r' | grep '[.]tar'); do
        fetch --create-dirs -o "$slot/$v/$f" "$job/$slot/$v/$f"
      done
    done

2. String the volumes together, in the order of their names without the vNN, and
   unpack that. If all of them end in .tar.gz:

    mkdir -p restored
    find "$slot" -name '*.tar.gz' | LC_ALL=C sort -t / -k 3 |
      xargs cat | gunzip | tar -x -f - -C restored

   If all of them end in .tar:

    mkdir -p restored
    find "$slot" -name '*.tar' | LC_ALL=C sort -t / -k 3 |
      xargs cat | tar -x -f - -C restored

   If there are both, or some that end in .tar.zst (these need the program zstd):

    mkdir -p restored
    find "$slot" -name '*.tar*' ! -name '*.tmp' | LC_ALL=C sort -t / -k 3 |
      while read -r v; do
        case $v in
          *.gz) gunzip -c "$v" ;;
          *.zst) zstd -d -c "$v" ;;
          *) cat "$v" ;;
        esac
      done | tar -x -f - -C restored

   Write "-x -p" instead of "-x" to keep all modes, and, IF THE SLOT IS CALLED
   pool, "-x --backup=numbered", so that no copy of a file overwrites another; step
   5 needs that. tar may say that the archive does not end with zero blocks. That
   is so, and does no harm: no volume does, which is why they can be strung
   together.

3. Know what you have got. It is MORE than the restore point: files that were
   deleted before it was made are there, too, as long as their volume is. In a slot
   s01, s02, ... the newest copy stands of a file that changed, as volumes come in
   order of time. It is also LESS. Only recover.py gives you

   - empty files, directories without files, symbolic links, second names of one
     file (hard links), devices, extended attributes, access control lists and
     fractions of a second. They stand only in the manifest;
   - sparse files, which disk images often are. What tar gives of them, called
     NAME.sparse-000001, NAME.sparse-000002 and so on, is what lies between the
     holes. Where in the file each byte belongs says "map" in the manifest;
   - in a slot called pool: all files under their names. Content that several files
     have stands there ONCE, under the name under which it was first seen, even if
     no file is called so any more, and the others are missing. Of a file that
     changed, any copy may stand, an old one as well as the newest. Step 5 finds
     the content of single files.

   What the restore point really holds, one line an entry, tells

    gunzip -c manifest.gz | less

   where "p" is the path, "s" the size in bytes, and "h" the SHA-256 of a file
   that is not in parts: sha256sum must print the same.

4. A file of more than 8 MiB stands in parts of uneven lengths: NAME.part-000001,
   NAME.part-000002 and so on. This joins them all. It leaves the parts where they
   are, and a file NAME that is there already (of another time, when it was smaller)
   as well:

    find restored -name '*.part-000001' -exec sh -c '
      for first; do
        name=${first%.part-000001}
        if [ -e "$name" ]; then echo "is there already: $name"; continue; fi
        cp -p "$first" "$name" &&
          cat "$name".part-[0-9][0-9][0-9][0-9][0-9][0-9] > "$name" &&
          touch -r "$first" "$name"
      done' sh {} +

   Then CHECK each joined file that matters. In a slot s01, s02, ... and in a pool,
   parts of several ages may have met: one that has not changed, or has only moved,
   was not sent again and bears its old number, and when a file became shorter, the
   parts of its old end stayed. The size must be the "s" of the file's line in the
   manifest, and this must print its "h":

    name='restored/srv/a large file'
    for part in "$name".part-[0-9][0-9][0-9][0-9][0-9][0-9]; do
      sha256sum < "$part" | cut -c 1-64
    done | tr -d '\n' | perl -pe '$_ = pack "H*", $_' | sha256sum

   If it does not, go on with step 5.

5. A single file that is missing, or whose parts do not fit, can be put together by
   its checksums, whatever its content is called. If tar was not told
   "--backup=numbered" in step 2, do that once more with it, into an empty
   directory. Then list the checksums of all there is:

    find restored -type f -exec sha256sum {} + > sums

   and take what the manifest says of the file. Write its path as it stands there:

    path='/srv/a file of many parts'
    gunzip -c manifest.gz | grep -F "\"p\":\"$path\"," | grep -o '"[0-9a-f]\{64\}"' |
      tr -d '"' > digests
    if [ "$(wc -l < digests)" -gt 1 ]; then sed -i 1d digests; fi
    while read -r digest; do
      cat "$(grep -m 1 "^$digest" sums | cut -c 67-)" || echo "is missing: $digest" >&2
    done < digests > found

   The file "found" is it if nothing was missing: of a sparse file, without its
   holes. A name of which sha256sum has written the line with a backslash in front
   is not found this way.
"""

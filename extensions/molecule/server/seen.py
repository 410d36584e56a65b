# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client sees of the server, by Python's own ftplib; `verify.yml` says what it should be.

Standard input is JSON: `address`, `hostname`, `pem`, `passwords` (by account) and `what`, a name in ``WHAT``. Standard
output is JSON, of what the server answered.
"""

from __future__ import annotations

import ftplib
import io
import json
import ssl
import sys
import typing as t
from functools import partial

if t.TYPE_CHECKING:
    from collections.abc import Callable

PARTIAL_CHAIN = 0x80000
LARGE = 3 * 1024 * 1024


class Client:
    """Logs in on the server, and tells what it answers."""

    def __init__(self, given: dict[str, t.Any]) -> None:
        self.given = given
        self.context = ssl.create_default_context(cadata=given["pem"])
        self.context.verify_flags |= PARTIAL_CHAIN

    def login(self, account: str, password: str | None = None) -> ftplib.FTP_TLS:
        ftp = ftplib.FTP_TLS(context=self.context, timeout=60)
        ftp.connect(self.given["address"])
        ftp.host = self.given["hostname"]
        ftp.login(account, self.given["passwords"][account] if password is None else password)
        ftp.prot_p()
        return ftp


def answer(deed: Callable[[], object]) -> str:
    """Return what the server answers to *deed*, as one line."""
    try:
        said = deed()
    except (ftplib.Error, EOFError) as error:
        said = error
    return " ".join(str(said).splitlines())


def stored(ftp: ftplib.FTP_TLS, path: str, content: bytes, command: str = "STOR", rest: int | None = None) -> str:
    """Return the final answer to an upload, also when the server has closed the data connection early."""
    ftp.voidcmd("TYPE I")
    connection = ftp.transfercmd(f"{command} {path}", rest)
    try:
        connection.sendall(content)
        t.cast("ssl.SSLSocket", connection).unwrap()
    except OSError:
        pass  # the answer tells why
    finally:
        connection.close()
    return ftp.voidresp()


def content_of(ftp: ftplib.FTP_TLS, path: str) -> str:
    """Return what lies at *path*."""
    content = io.BytesIO()
    ftp.retrbinary(f"RETR {path}", content.write)
    return content.getvalue().decode("latin-1")


def doors(client: Client) -> dict[str, object]:
    """Ask for what must be refused: plain text, a stranger, who has left, and who is anonymous."""
    plain = ftplib.FTP()
    plain.connect(client.given["address"])
    leaver = client.given["passwords"]["leaver"]
    return {
        "plain": answer(lambda: plain.sendcmd("USER blog")),
        "wrong": answer(lambda: client.login("blog", "wrong")),
        "leaver": answer(lambda: client.login("leaver", leaver)),
        "anonymous": answer(lambda: client.login("anonymous", "someone@example.com")),
        "root": answer(lambda: client.login("root", "root")),
    }


def login(client: Client) -> dict[str, object]:
    """Log in as *account*."""
    account = client.given["account"]
    return {"login": answer(lambda: client.login(account).voidcmd("NOOP"))}


def rooms(client: Client) -> dict[str, object]:
    """Store as one account, and look for it as another."""
    blog, shop = client.login("blog"), client.login("shop")
    stored(blog, "secret", b"of the blog")
    found: dict[str, object] = {
        "own": content_of(blog, "secret"),
        "top": shop.pwd(),
        "above": answer(lambda: (shop.cwd(".."), shop.pwd())[1]),
        "by_path": answer(lambda: content_of(shop, "../blog/secret")),
        "by_full_path": answer(lambda: content_of(shop, "/srv/ftp/blog/secret")),
        "names": shop.nlst(),
    }
    blog.delete("secret")
    return found


def limits(client: Client) -> dict[str, object]:
    """Store more than the quota allows, and come with more connections than an account may have."""
    shop = client.login("shop")
    small = answer(lambda: stored(shop, "small", bytes(1000)))
    large = answer(lambda: stored(shop, "large", bytes(LARGE)))
    left = shop.nlst()
    shop.delete("small")
    others = [client.login("shop") for _number in range(2)]
    fourth = answer(lambda: client.login("shop"))
    for ftp in (shop, *others):
        ftp.quit()
    return {"small": small, "large": large, "left": left, "fourth": fourth}


def listing(client: Client) -> dict[str, object]:
    """List a directory in which the host has made many files."""
    blog = client.login("blog")
    lines: list[str] = []
    end = blog.retrlines("LIST many", lines.append)
    machine = [name for name, facts in blog.mlsd("many") if facts["type"] == "file"]
    return {"list": len(lines), "mlsd": len(machine), "nlst": len(blog.nlst("many")), "end": end}


def upload(client: Client) -> dict[str, object]:
    """Store what will be sealed, and what will not."""
    till = client.login("till")
    till.mkd("job")
    stored(till, "job/point.tmp", b"good")
    till.rename("job/point.tmp", "job/point")
    stored(till, "job/other", b"good")
    stored(till, "job/late.tmp", b"passing")
    return {"content": content_of(till, "job/point")}


def attack(client: Client) -> dict[str, object]:
    """Try to spoil what is sealed, and do what a backup needs beside it."""
    till = client.login("till")
    point = "job/point"
    stored(till, "job/evil", b"evil")
    tried = {
        "overwrite": answer(lambda: stored(till, point, b"evil")),
        "append": answer(lambda: stored(till, point, b"evil", "APPE")),
        "in the middle": answer(lambda: stored(till, point, b"evil", rest=2)),
        "replace": answer(lambda: till.rename("job/evil", point)),
        "rename": answer(lambda: till.rename(point, "job/elsewhere")),
        "rename the directory": answer(lambda: till.rename("job", "elsewhere")),
        "delete": answer(lambda: till.delete(point)),
        "mode": answer(lambda: till.sendcmd(f"SITE CHMOD 777 {point}")),
        "mode of the directory": answer(lambda: till.sendcmd("SITE CHMOD 777 job")),
    }
    needed = {
        "delete a temporary file": answer(lambda: till.delete("job/late.tmp")),
        "store": answer(lambda: stored(till, "job/new", b"good")),
        "delete what is young": answer(lambda: till.delete("job/evil")),
        "lock": answer(lambda: till.sendcmd("MKD job/lock")),
        "hold": answer(lambda: till.sendcmd("MKD job/lock/run.1")),
        "beat": answer(lambda: till.rename("job/lock/run.1", "job/lock/run.2")),
        "let go": answer(lambda: till.sendcmd("RMD job/lock/run.2")),
        "unlock": answer(lambda: till.sendcmd("RMD job/lock")),
    }
    content = answer(lambda: content_of(till, point))
    return {"tried": tried, "needed": needed, "content": content, "names": sorted(till.nlst("job"))}


def prune(client: Client) -> dict[str, object]:
    """Delete with the account that may."""
    keeper = client.login("till-prune")
    seen = content_of(keeper, "job/point")
    gone = [answer(partial(keeper.delete, f"job/{name}")) for name in ("point", "other", "new")]
    return {"seen": seen, "gone": gone, "directory": answer(lambda: keeper.sendcmd("RMD job"))}


WHAT = {deed.__name__: deed for deed in (doors, login, rooms, limits, listing, upload, attack, prune)}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    sys.stdout.write(json.dumps(WHAT[asked["what"]](Client(asked))))

# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the transport does about T16 to T30, and how to take each of it out."""

from __future__ import annotations

from tests.transport.taken_out import Behaviour

DATA: tuple[Behaviour, ...] = (
    # two kinds of MKD
    Behaviour("T16", "550 is looked into", "session.py", "_EXISTS_ALREADY = (450, 521, 550)", "_EXISTS_ALREADY = ()"),
    Behaviour("T16", "450 is looked into", "session.py", "_EXISTS_ALREADY = (450, 521,", "_EXISTS_ALREADY = (521,"),
    Behaviour("T16", "a name that is there is not ours", "storage.py", "return reply.is_success", "return True"),
    Behaviour(
        "T16",
        "any other refusal is an error",
        "storage.py",
        "if not reply.is_success and not session.has_directory(session.path_of(directory)):",
        "if False:",
    ),
    Behaviour(
        "T16",
        "a lost reply is left to the caller",
        "storage.py",
        "        with self._session() as session:\n            reply = session.make_directory",
        "        for _again in range(2):\n"
        "            with self._pool.session() as session:\n"
        "                session.enter(self._directory)\n"
        "                try:\n"
        "                    session.make_directory(session.path_of(directory))\n"
        "                except StorageError:\n"
        "                    pass\n"
        "        with self._session() as session:\n            reply = session.make_directory",
    ),
    Behaviour(
        "T16", "the refusal is proved", "../proof.py", "    if storage.take_directory(scratch):", "    if False:"
    ),
    # does it exist?
    Behaviour("T17", "MLST comes first", "session.py", "if self.has_mlst else None", "if False else None"),
    Behaviour(
        "T17",
        "a closed directory is told",
        "session.py",
        "if self.has_mlst or self._exists(each):",
        "if False:",
    ),
    Behaviour(
        "T17",
        "what may not be read is told",
        "session.py",
        "if not is_open and self.sizes([path]) != [None]:",
        "if False:",
    ),
    Behaviour(
        "T17",
        "sizes without SIZE are asked by MLST",
        "session.py",
        '"MLST" if verb == "SIZE" and self.has_mlst else "LIST"',
        '"LIST"',
    ),
    Behaviour(
        "T17",
        "the directory that was looked for is left",
        "session.py",
        'self._control.exchange([f"CWD {path}", f"CWD {self.home}"])[0]',
        'self._control.command(f"CWD {path}")',
    ),
    # the type
    Behaviour("T18", "binary is chosen", "session.py", '["TYPE I",', '["NOOP",'),
    Behaviour("T18", "a refusal of binary ends the login", "session.py", "if not binary.is_success:", "if False:"),
    # uploads
    Behaviour("T19", "the size decides", "storage.py", "    if size != expected:", "    if False:"),
    Behaviour(
        "T19",
        "the size is asked before the name is given",
        "storage.py",
        "_require_size(path, sent, session.sizes([remote])[0])",
        "pass",
    ),
    Behaviour("T19", "the size is asked once more", "storage.py", "_require_size(path, size, found)", "pass"),
    Behaviour(
        "T19",
        "the name is given last",
        "storage.py",
        "            if not self._renames:\n                return self._sent",
        "            if True:\n                return self._sent",
    ),
    Behaviour(
        "T19", "a rename is tried again", "storage.py", "for pause in (*_RENAME_PAUSES, None):", "for pause in (None,):"
    ),
    Behaviour(
        "T19",
        "without rename there is another way",
        "storage.py",
        "if pause is None and (at_source, at_target) == (size, None):",
        "if False:",
    ),
    Behaviour("T19", "a rename that was done is found", "storage.py", "if at_target == size:", "if False:"),
    Behaviour(
        "T19",
        "what failed is tidied",
        "storage.py",
        "            self._forget(session, used[:-1])\n",
        "",
    ),
    Behaviour(
        "T19",
        "what broke is sent again",
        "storage.py",
        "if error.is_final or attempt == _ATTEMPTS",
        "if True or attempt == _ATTEMPTS",
    ),
    # success
    Behaviour("T20", "250 is success", "data.py", "_SUCCESS = (226, 250)", "_SUCCESS = (226,)"),
    Behaviour("T20", "nothing else is", "data.py", "if reply.code not in _SUCCESS:", "if reply.code >= 400:"),
    Behaviour(
        "T20",
        "it may be late",
        "data.py",
        "timeout=max(_FINAL_REPLY_TIMEOUT, self._control.address.timeout)",
        "timeout=None",
    ),
    # downloads
    Behaviour(
        "T21",
        "what is said of a slice is taken",
        "data.py",
        "if control.pending_reply(_SETTLE_WAIT + control.round_trip) is not None:\n                return",
        "if True:\n                return",
    ),
    Behaviour("T21", "Pure-FTPd is asked", "data.py", "if not self._fences_early_close:", "if True:"),
    Behaviour(
        "T21",
        "any other connection is given up",
        "data.py",
        "            if not self._fences_early_close:\n                control.close()\n                return\n",
        "",
    ),
    Behaviour(
        "T21",
        "the fence's own reply is waited for",
        "data.py",
        "while control.reply().code != 257:\n                pass",
        "control.reply()",
    ),
    Behaviour(
        "T21",
        "a length that is short is noticed",
        "session.py",
        "if expected is not None and len(content) != expected:",
        "if False:",
    ),
    Behaviour(
        "T21",
        "the final reply counts",
        "data.py",
        "                if at_end:\n                    download.final = self._confirm(deed)\n",
        "                if at_end:\n                    self._control.reply()\n",
    ),
    Behaviour(
        "T21",
        "slices begin where they should",
        "data.py",
        'expected = [command] if not offset else [f"REST {offset}", command]',
        "expected = [command]",
    ),
    Behaviour("T21", "an ignored REST is found out", "../proof.py", "known.restarts = False", "pass"),
    Behaviour(
        "T21",
        "an unknown REST is remembered",
        "doors.py",
        "self._known.restarts = self._known.restarts and reply.code not in _NO_REST",
        "pass",
    ),
    # what a killed run left
    Behaviour(
        "T22", "the run's mark is in the names", "storage.py", "{self._mark}-{self._attempts}", "{self._attempts}"
    ),
    Behaviour("T22", "no name comes twice", "storage.py", "self._attempts += 1", "self._attempts = 1"),
    # listings
    Behaviour("T23", "a cut listing is an error", "listing.py", "    if limit_in(reply) is not None:", "    if False:"),
    Behaviour(
        "T23",
        "the form of Windows is read",
        "listing.py",
        "dos = None if found else _DOS_LINE.fullmatch(line)",
        "dos = None",
    ),
    Behaviour("T23", "links are left out", "listing.py", "if one.kind in (FILE, DIRECTORY)]", "]"),
    Behaviour("T23", "dots are no names", "listing.py", 'return "" if last in (".", "..") else last', "return last"),
    Behaviour(
        "T23", "a directory before a name is taken off", "listing.py", 'last = name.rsplit("/", 1)[-1]', "last = name"
    ),
    Behaviour(
        "T23",
        "without LIST there is NLST",
        "session.py",
        'if error.code in _UNKNOWN_VERB and verb != "NLST":',
        "if False:",
    ),
    Behaviour(
        "T23",
        "an empty directory may be refused",
        "session.py",
        'if verb == "NLST" and error.code in _MISSING:',
        "if False:",
    ),
    Behaviour(
        "T23",
        "what is refused is not empty",
        "session.py",
        "            if not self.has_directory(path):\n                return []\n",
        "            return []\n",
    ),
    Behaviour("T23", "hidden names are asked for", "session.py", '_HIDDEN = "-a "', '_HIDDEN = ""'),
    Behaviour(
        "T23",
        "an option may be taken for a name",
        "session.py",
        "        if used and not shows_itself(text):\n",
        "        if False:\n",
    ),
    Behaviour(
        "T23",
        "a name may be taken for a pattern",
        "session.py",
        'if not _PATTERNS.intersection(path) and not path.startswith("-"):',
        "if True:",
    ),
    Behaviour(
        "T23",
        "a time that may be told later is an error",
        "session.py",
        "if reply.code // 100 == 4 and",
        "if False and",
    ),
    # names
    Behaviour("T24", "names are guarded", "paths.py", "or not all(map(is_ours, path.parts)):", "or False:"),
    Behaviour("T24", "names are short", "paths.py", "[a-z0-9._-]{0,99}", "[a-z0-9._-]*"),
    Behaviour("T24", "paths are short", "paths.py", "or len(text) > _LENGTH", ""),
    Behaviour("T24", "paths are not deep", "paths.py", "len(path.parts) > _DEPTH or", ""),
    Behaviour("T24", "names do not begin with a mark", "paths.py", "[a-z0-9][a-z0-9._-]{0,99}", "[a-z0-9._-]{1,100}"),
    Behaviour(
        "T24", "capitals are not taken", "paths.py", "[a-z0-9][a-z0-9._-]{0,99}", "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
    ),
    Behaviour(
        "T24",
        "no command holds a line break",
        "control.py",
        'if any(mark in line for mark in "\\r\\n\\0"):',
        "if False:",
    ),
    Behaviour("T24", "no command holds a NUL", "control.py", 'for mark in "\\r\\n\\0"):', 'for mark in "\\r\\n"):'),
    # deleting
    Behaviour("T25", "windows are bounded", "control.py", "WINDOW = 50", "WINDOW = 5000"),
    Behaviour("T25", "windows are used", "control.py", "WINDOW = 50", "WINDOW = 1"),
    Behaviour(
        "T25",
        "a refusal is told",
        "session.py",
        "if not reply.is_success and (self.sizes([path]) != [None] or self.has_directory(path)):",
        "if False:",
    ),
    Behaviour(
        "T25",
        "what is gone is no error",
        "session.py",
        "if not reply.is_success and (self.sizes([path]) != [None] or self.has_directory(path)):",
        "if not reply.is_success:",
    ),
    Behaviour(
        "T25",
        "what was lost is asked again",
        "storage.py",
        "_WORTH_ANOTHER_TRY = (InterruptedTransferError, UnreachableError)",
        "_WORTH_ANOTHER_TRY = (UnreachableError,)",
    ),
    # bandwidth
    Behaviour("T26", "everybody waits", "bandwidth.py", "        self._pause(wait)\n", "        self._pause(0.0)\n"),
    Behaviour("T26", "the scale is common", "bandwidth.py", "max(now, self._free_at) + count", "now + count"),
    Behaviour("T26", "nothing is saved up", "bandwidth.py", "max(now, self._free_at) + count", "self._free_at + count"),
    Behaviour("T26", "uploads count", "data.py", "self._bandwidth.spend(len(piece))", "pass"),
    Behaviour("T26", "downloads count", "data.py", "self._bandwidth.spend(count)", "pass"),
    Behaviour(
        "T26", "pieces are small", "bandwidth.py", "max(_SMALLEST_PIECE, self._limit // _PIECES_A_SECOND)", "_PIECE"
    ),
    # the pool
    Behaviour("T27", "the cap holds", "pool.py", "(not self._limit or self._open < self._limit)", "True"),
    Behaviour(
        "T27",
        "a busy server lowers the cap",
        "pool.py",
        "self._limit = min(self._limit or taken, max(1, self._open or taken))",
        "pass",
    ),
    Behaviour(
        "T27",
        "a busy server is waited for with the others",
        "pool.py",
        "is_narrow = isinstance(error, BusyError) and taken > 0",
        "is_narrow = False",
    ),
    Behaviour("T27", "connections are kept", "pool.py", "is_kept = not (", "is_kept = False and not ("),
    Behaviour("T27", "the cap that was reached is told", "pool.py", "        if self.cap:\n", "        if False:\n"),
    Behaviour(
        "T27",
        "530 may mean busy",
        "replies.py",
        "(code == 530 or code // 100 == 4) and _BUSY.search(text)",
        "code // 100 == 4 and _BUSY.search(text)",
    ),
    Behaviour(
        "T27",
        "one object has one connection",
        "storage.py",
        "            self._published(session, staged, path, size, chunks)\n            return size\n",
        "            with self._session() as other:\n"
        "                self._published(other, staged, path, size, chunks)\n"
        "            return size\n",
    ),
    Behaviour(
        "T27",
        "connections are opened early",
        "pool.py",
        "            self._early.start()\n",
        "            self._early = None\n",
    ),
    # paths
    Behaviour(
        "T28",
        "paths begin where PWD says",
        "paths.py",
        "root = PurePosixPath(home) / directory",
        'root = PurePosixPath("/") / directory',
    ),
    Behaviour("T28", "doubled quotes are one", "session.py", """found[1].replace('""', '"')""", "found[1]"),
    Behaviour(
        "T28",
        "without absolute paths the way is gone",
        "session.py",
        "if self.takes_absolute_paths():",
        "if True:",
    ),
    Behaviour(
        "T28",
        "that they fail is found out",
        "session.py",
        'self._control.command(f"CWD {self.home}").is_success',
        "True",
    ),
    Behaviour(
        "T28", "nothing lies outside", "paths.py", "if PurePosixPath(home) not in (root, *root.parents):", "if False:"
    ),
    Behaviour(
        "T28",
        "an answer that is none ends the login",
        "session.py",
        'if found is None or any(mark in found[1] for mark in "\\r\\n\\0"):\n            raise',
        "if found is None:\n            return\n        if False:\n            raise",
    ),
    # secrets
    Behaviour(
        "T29",
        "replies are shown without the password",
        "replies.py",
        "return shown(self.text, self.secret)",
        "return shown(self.text)",
    ),
    Behaviour(
        "T29",
        "nor is it shown in what is no reply",
        "control.py",
        "words = shown(str(error), _as_read(self.address.password))",
        "words = shown(str(error))",
    ),
    Behaviour("T29", "addresses do not show it", "control.py", "password: str = field(repr=False)", "password: str"),
    # profiles
    Behaviour("T30", "SYST tells Windows", "profile.py", "_WINDOWS_SYSTEM.search(syst)", "None"),
    Behaviour("T30", "the greeting tells Windows", "profile.py", "_WINDOWS_GREETING.search(banner)", "None"),
    Behaviour("T30", "FEAT tells IIS", "profile.py", '"auth tls;tls-c;ssl;tls-p;" in facts', "False"),
    Behaviour("T30", "facts tell Windows", "profile.py", '"win32." in facts', "False"),
    Behaviour("T30", "a drive tells Windows", "profile.py", "_DRIVE.match(home)", "None"),
    Behaviour("T30", "SYST tells FileZilla", "profile.py", '"unix emulated by filezilla" in syst.lower()', "False"),
    Behaviour("T30", "the greeting tells a product for Windows", "profile.py", "_WINDOWS_ONLY.search(banner)", "None"),
    Behaviour("T30", "the greeting tells Unix", "profile.py", "_UNIX_GREETING.search(banner)", "None"),
    Behaviour("T30", "SYST tells BSD", "profile.py", '"version: bsd-" in syst.lower()', "False"),
    Behaviour("T30", "facts tell Unix", "profile.py", '"unix.mode" in facts', "False"),
    Behaviour(
        "T30", "HELP and STAT tell Windows", "profile.py", "if _WINDOWS_GREETING.search(reply.text):", "if False:"
    ),
    Behaviour(
        "T30", "a listing tells Windows", "profile.py", "if is_dos_form(listing) else judged", "if False else judged"
    ),
    Behaviour("T30", "behaviour tells Windows", "profile.py", "len(signs) < _SIGNS_OF_WINDOWS", "True"),
    Behaviour("T30", "one sign is not enough", "profile.py", "_SIGNS_OF_WINDOWS = 2", "_SIGNS_OF_WINDOWS = 1"),
    Behaviour("T30", "Windows is refused", "../connections.py", "if profile.verdict == WINDOWS:", "if False:"),
    Behaviour(
        "T30",
        "an unknown server is refused",
        "../connections.py",
        "profile.verdict == UNIDENTIFIED and not destination.accept_unidentified_server",
        "False",
    ),
    Behaviour(
        "T30",
        "nothing is written before the verdict",
        "../proof.py",
        "profile = read_profile(session)\n            require_unix(destination, profile)\n",
        "profile = read_profile(session)\n",
    ),
    Behaviour(
        "T30",
        "behaviour is judged",
        "../proof.py",
        "session, scratch)\n            require_unix(destination, profile)",
        "session, scratch)",
    ),
    Behaviour(
        "T30",
        "names that were tried are removed",
        "../proof.py",
        "session.remove_directories([case, colon, dot, no_dot])",
        "pass",
    ),
    Behaviour(
        "T30", "the scratch directory is removed", "../proof.py", "storage.remove_directories([scratch])", "pass"
    ),
    Behaviour(
        "T30",
        "another greeting is judged anew",
        "../connections.py",
        "if judges and known.greeting not in judged:",
        "if judges and not judged:",
    ),
    Behaviour(
        "T30",
        "a greeting that was judged is not judged again",
        "../connections.py",
        "judged = {known.greeting} if profile is not None else set()",
        "judged = set()",
    ),
    Behaviour(
        "T30", "what is known is not asked again", "session.py", "and self.known.greeting == greeting", "and False"
    ),
    Behaviour("T30", "numbers in a greeting do not matter", "known.py", 're.sub(r"\\d+", "0", text)', "text"),
    Behaviour(
        "T30",
        "what was tried is kept in mind",
        "../destination.py",
        "return profile.with_memories(older if remembered.greeting == known.greeting else None)",
        "return profile",
    ),
    Behaviour(
        "T30", "session reuse is seen", "../proof.py", "session_reuse=session.has_resumed", "session_reuse=False"
    ),
    Behaviour(
        "T30", "the figures of a quota are seen", "control.py", "self.quota = quota_in(text) or self.quota", "pass"
    ),
)

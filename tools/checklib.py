"""What the tools/check-* scripts share: choosing files, reading C, reporting, and self-tests.

A check is a function `check(tree) -> iterable of "path:line: message"`. It selects files through
`tree.files(...)`, which fails when it selects none: a check that looks at nothing proves nothing.
`main` runs it on the repository, or with --self-test on samples: each bad one must be found, the
good one must pass, and an empty tree must fail.
"""
import fnmatch
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODULES = ("base", "proto", "wal", "rpc", "replica", "server", "manager", "client", "bench", "fuzz")
C_FILES = ("*.c", "*.h")


class NothingSelected(Exception):
    pass


class Tree:
    def __init__(self, root):
        self.root = root
        self.paths = sorted(self._tracked() if os.path.exists(os.path.join(root, ".git"))
                            else self._walked())

    def _tracked(self):
        out = subprocess.run(["git", "-C", self.root, "ls-files", "-z"], check=True,
                             stdout=subprocess.PIPE).stdout
        names = [name for name in out.decode().split("\0") if name]
        return [name for name in names if os.path.isfile(os.path.join(self.root, name))]

    def _walked(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = [f for f in folders if f not in ("build", "bin", "data", "__pycache__")]
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self.root)

    def files(self, patterns, under=None, excluded=()):
        """Tracked paths whose base name matches one of `patterns`, below one of `under`."""
        chosen = [path for path in self.paths
                  if any(fnmatch.fnmatch(os.path.basename(path), p) for p in patterns)
                  and (under is None or path.split("/")[0] in under)
                  and not any(fnmatch.fnmatch(path, p) for p in excluded)]
        if not chosen:
            raise NothingSelected("no file matches " + " ".join(patterns))
        return chosen

    def full(self, path):
        return os.path.join(self.root, path)

    def text(self, path):
        with open(self.full(path), encoding="utf-8", errors="replace") as file:
            return file.read()


_TOKENS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def code_only(text, keep_strings=False):
    """C source with comments (and the insides of literals) blanked; line numbers stay."""
    def replace(match):
        token = match.group(0)
        if token.startswith("/"):
            return _blank(token)
        if keep_strings:
            return token
        return token[0] + _blank(token[1:-1]) + token[-1]
    return _TOKENS.sub(replace, text)


def comments_only(text):
    """C source with everything but comments blanked."""
    out, end = [], 0
    for match in _TOKENS.finditer(text):
        out.append(_blank(text[end:match.start()]))
        out.append(match.group(0) if match.group(0).startswith("/") else _blank(match.group(0)))
        end = match.end()
    out.append(_blank(text[end:]))
    return "".join(out)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def _materialize(folder, sample):
    for path, text in sample.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)


def _run_sample(check, sample):
    with tempfile.TemporaryDirectory(prefix="cairn-check-") as folder:
        _materialize(folder, sample)
        return list(check(Tree(folder)))


def _self_test(name, check, good, bad):
    wrong = []
    found = _run_sample(check, good)
    if found:
        wrong.append("the good sample is refused: " + "; ".join(found))
    for title, sample in bad.items():
        if not _run_sample(check, {**good, **sample}):
            wrong.append("not found: " + title)
    try:
        _run_sample(check, {})
        wrong.append("passes without selecting a file")
    except NothingSelected:
        pass
    for line in wrong:
        print(f"{name}: self-test: {line}")
    print(f"{name}: self-test: {len(bad)} bad samples, {'ok' if not wrong else 'FAILED'}")
    return 1 if wrong else 0


def main(check, good, bad):
    """`good` is a sample {path: text}; `bad` maps a title to files laid over the good sample."""
    name = os.path.basename(sys.argv[0])
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(_self_test(name, check, good, bad))
    if sys.argv[1:]:
        print(f"ERROR: usage: {name} [--self-test]", file=sys.stderr)
        sys.exit(2)
    try:
        found = list(check(Tree(ROOT)))
    except NothingSelected as error:
        found = [str(error)]
    for line in found:
        print(line)
    print(f"{name}: {'ok' if not found else str(len(found)) + ' found'}")
    sys.exit(1 if found else 0)

"""The virtual phone's folder: which of its paths is which file here, and what a command's text becomes.

A phone's paths exist only in its own folder. The file service maps every path there. A shell command
is text that runs in this computer's /bin/sh, so the paths of `MAPPED` are rewritten in it first: simple,
and it needs neither root nor namespaces. The limits of that: paths that a command puts together while it
runs, or that stand inside a pushed script, are not rewritten; the same paths in mere data are; all other
paths (/tmp, /proc/meminfo) are this computer's.

A pushed program in command position (at the start, behind `;`, `&`, `|`, `(` or `exec`) is started by the
`start` shim, which refuses another CPU's programs as a phone does and puts the emulator in front where the
phone has one. An emulated program finds all files of the phone's folder in the place of this computer's, by QEMU's
option -L: the CPU's part number and caches, by which ncnn chooses kernels, are then the emulated CPU's.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shlex
from pathlib import Path, PurePosixPath

from mobiledeploy.errors import UsageError
from mobiledeploy.phone.android_state import COMMANDS, INITIAL
from mobiledeploy.phone.identity import Identity
from ncnn_tools.files import write_atomically

MAPPED = ("/data/local/tmp", "/proc/cpuinfo", "/sys/devices/system/cpu", "/sys/class/thermal")

# Not behind a character that makes it the middle of a longer path; ends where the name ends.
_PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(MAPPED)})(?![\w.-])")
_PROGRAM = re.compile(
    r"(?P<before>(?:^|[;&|(\n]|\bexec\b)\s*(?:[A-Za-z_]\w*=\S*\s+)*)"  # and variables for this command
    r"(?P<program>'(?:/data/local/tmp|\.)/[^']*'|(?:/data/local/tmp|\.)/[^\s;&|<>()'\"]+)"
)
_SAFE_ROOT = re.compile(r"[\w./-]+", re.ASCII)

# The ELF header's e_machine field (bytes 18 and 19, little-endian): elf.h, EM_X86_64, EM_AARCH64, EM_ARM.
_MACHINES = {"x86_64": "3e00", "arm64-v8a": "b700", "armeabi-v7a": "2800"}

_START = """\
#!/bin/sh
# Starts a program as the phone's kernel would: its own CPU's only (see mobiledeploy/phone/system.py).
# It is reported first, for the faults that hit programs (programs.py).
[ -x "$1" ] || exec "$@"
echo $$ >{reports}
case $(od -An -v -tx1 -N20 "$1" 2>/dev/null | tr -d ' \\n') in
7f454c46*{machine}) exec {emulator}"$@" ;;
7f454c46*) echo "$1: not executable: ELF file for another CPU than {abi}" >&2; exit 126 ;;
*) exec "$@" ;;
esac
"""

_GETPROP = """\
#!/bin/sh
# getprop [NAME [DEFAULT]], as on Android
value=$2
while IFS='=' read -r name text; do
    if [ $# -eq 0 ]; then echo "[$name]: [$text]"; elif [ "$name" = "$1" ]; then value=$text; fi
done <{properties}
[ $# -eq 0 ] || echo "$value"
"""


class System:
    """The folder `root` as a phone's file system; made or brought up to date when the phone starts.

    Raises UsageError for a folder whose path can't stand in a command's text as it is.
    """

    def __init__(self, root: Path, identity: Identity) -> None:
        self.root = Path(os.path.realpath(root))
        if not _SAFE_ROOT.fullmatch(str(self.root)):
            raise UsageError(
                f"a virtual phone can't live in {str(self.root)!r}",
                hint="Choose a folder whose path has letters, digits and . _ - only.",
            )
        self._start = self.root / "system/bin/start"
        self.reports = self.root / "system/started"
        self.environment = {
            "PATH": f"{self.root}/system/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.root),
            "TMPDIR": f"{self.root}/data/local/tmp",
            "LC_ALL": "C",
        }
        self._furnish(identity)

    def _furnish(self, identity: Identity) -> None:
        (self.root / "data/local/tmp").mkdir(parents=True, exist_ok=True)
        # A number of its own for each folder, as each phone has one: made up, and says so.
        serial = f"virtual-{hashlib.sha256(str(self.root).encode()).hexdigest()[:12]}"
        listed = {**identity.properties, "ro.serialno": serial}
        properties = "".join(f"{name}={value}\n" for name, value in listed.items())
        self._write("system/build.prop", properties)
        self._write("proc/cpuinfo", identity.cpuinfo)
        for core, files in enumerate(identity.cpufreq):
            folder = f"sys/devices/system/cpu/cpu{core}"
            (self.root / folder).mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                self._write(f"{folder}/cpufreq/{name}", f"{text}\n")
        for core, files in enumerate(identity.caches):
            for name, text in files.items():
                self._write(f"sys/devices/system/cpu/cpu{core}/cache/index0/{name}", f"{text}\n")
        self._write("sys/devices/system/cpu/online", f"0-{len(identity.cpufreq) - 1}\n")
        for name, text in INITIAL.items():
            if not (self.root / name).exists():  # a folder that was kept keeps its phone's state
                self._write(name, f"{text}\n")
        for name, script in COMMANDS.items():
            self._write(f"system/bin/{name}", script.replace("@ROOT@", str(self.root)), mode=0o755)
        emulator = f"{shlex.join([*identity.emulator, '-L', str(self.root)])} " if identity.emulator else ""
        start = _START.format(
            machine=_MACHINES[identity.abi], emulator=emulator, abi=identity.abi, reports=self.reports
        )
        self._write("system/bin/start", start, mode=0o755)
        getprop = _GETPROP.format(properties=self.root / "system/build.prop")
        self._write("system/bin/getprop", getprop, mode=0o755)

    def _write(self, name: str, text: str, *, mode: int = 0o644) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def set_property(self, name: str, value: str) -> None:
        """Set a property of getprop's; an empty value takes it away."""
        path = self.root / "system/build.prop"
        kept = [line for line in path.read_text().splitlines() if not line.startswith(f"{name}=")]
        lines = [*kept, f"{name}={value}"] if value else kept
        write_atomically(path, "".join(f"{line}\n" for line in lines).encode())

    def locate(self, path: str, *, follow: bool = True) -> Path:
        """Return the file here that is `path` on the phone; without `follow`, a link itself.

        Raises PermissionError for a path that leaves the phone's folder, by `..` or by a link.
        """
        parts = PurePosixPath("/" + path).parts[1:]
        located = self.root.joinpath(*parts)
        checked = located if follow or not parts else located.parent
        if "\0" in path or ".." in parts or not self._holds(checked):
            raise PermissionError(errno.EPERM, "outside the phone's folder")
        return located

    def _holds(self, path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self.root)

    @staticmethod
    def starts_program(text: str) -> bool:
        """Say whether a command starts a pushed program."""
        return _PROGRAM.search(text) is not None

    def rewrite(self, text: str) -> str:
        """Return a command's text with the phone's paths replaced and the `start` shim put in."""
        started = _PROGRAM.sub(rf"\g<before>{self._start} \g<program>", text)
        return _PATH.sub(lambda match: f"{self.root}{match[0]}", started)

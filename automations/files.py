"""The few ways this product touches files: private, never through a link, durable when it says so."""

import os
import stat

sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def open_private(path: str, flags: int) -> int:
    """Open a regular file, created 0600 if absent, and return its descriptor (close-on-exec).

    A symbolic link, a FIFO or a device in its place raises OSError: whoever can plant one in `logs/`
    must not choose where we write, nor make us wait.
    """
    fd = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path}: not a regular file")
    return fd


def replace(path: str, content: bytes) -> None:
    """Give `path` this content, all or nothing, and durable when this returns.

    One fixed temporary name: a crash in between leaves one file that the next call overwrites, not litter.
    """
    temporary = path + ".tmp"
    fd = open_private(temporary, os.O_WRONLY | os.O_TRUNC)
    try:
        write_all(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    sync_folder(os.path.dirname(path))


def write_all(fd: int, content: bytes) -> None:
    """Write all of `content` or raise: a full disk shows as a short write without an error."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(path: str) -> None:
    """Make a rename or a new name in this folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def stamp(path: str) -> tuple[int, ...] | None:
    """What changes when the file does: time, size and inode; None when it cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_text(path: str, limit: int = 1 << 20) -> str:
    """The file's text, at most `limit` bytes, undecodable bytes escaped; empty when there is no file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    try:
        return os.read(fd, limit).decode("utf-8", "backslashreplace")
    finally:
        os.close(fd)


def read_tail(path: str, limit: int) -> bytes:
    """The last `limit` bytes of a file; empty when there is no file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return b""
    try:
        size = os.fstat(fd).st_size
        return os.pread(fd, limit, max(0, size - limit))
    finally:
        os.close(fd)

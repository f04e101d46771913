"""The program's side of a launch: it says once that it is ready, or why not, and is quiet without a launcher."""

import contextlib
import os
from collections.abc import Iterator

import pytest

from automations import readiness


@pytest.fixture
def descriptor(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The launcher's end of a READY_FD."""
    reader, writer = os.pipe()
    monkeypatch.setenv("READY_FD", str(writer))
    yield reader
    os.close(reader)


def test_announcing_without_a_launcher_does_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("READY_FD", raising=False)
    readiness.keep_ready_fd()
    readiness.announce("ready")


def test_an_announcement_is_made_once_and_is_not_inherited(descriptor: int):
    readiness.announce("ready")
    readiness.announce("ready")
    assert (os.read(descriptor, 100), os.environ.get("READY_FD")) == (b"ready\0", None)
    assert os.read(descriptor, 100) == b""


def test_a_launcher_that_gave_up_is_no_trouble(monkeypatch: pytest.MonkeyPatch):
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setenv("READY_FD", str(writer))
    try:
        readiness.announce("ready")
    finally:
        with contextlib.suppress(OSError):
            os.close(writer)


def test_the_descriptor_can_be_kept_from_children(descriptor: int):
    writer = int(os.environ["READY_FD"])
    os.set_inheritable(writer, True)
    readiness.keep_ready_fd()
    assert not os.get_inheritable(writer)
    readiness.announce("ready")


def test_a_descriptor_that_is_not_there_is_no_trouble(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("READY_FD", "987654")
    readiness.keep_ready_fd()
    readiness.announce("ready")

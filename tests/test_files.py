"""Writing: all or nothing, through links, never in the place of what is no file."""

import os
import stat
import threading

import pytest

from genbench.errors import GenbenchError
from genbench.files import check_folder, write_atomically


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path):
    target, link = tmp_path / "there" / "target", tmp_path / "link"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link.symlink_to(target)
    (tmp_path / "second").symlink_to("link")
    write_atomically(tmp_path / "second", b"new")
    assert link.is_symlink()
    assert (tmp_path / "second").is_symlink()
    assert target.read_bytes() == b"new"
    assert not target.is_symlink()


def test_a_link_to_nothing_makes_its_target(tmp_path):
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()


def test_a_link_that_leads_to_itself_is_an_error(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_atomically(tmp_path / "a", b"new")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "link to a device"])
def test_what_is_no_file_is_refused_and_stays(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
        path = path if kind == "link to a device" else path.readlink()
    before = os.stat(path).st_mode
    with pytest.raises(OSError, match=r"folder|device") as caught:
        write_atomically(path, b"new")
    assert caught.value.strerror
    assert os.stat(path).st_mode == before
    assert set(os.listdir(tmp_path)) <= {"x"}


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_an_error_of_the_system(name, tmp_path):
    with pytest.raises(OSError, match="no file can have such a name"):
        write_atomically(tmp_path / name, b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_has_the_permissions_of_any_new_file_and_an_old_one_keeps_its_own(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "new", b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "new").chmod(0o600)
    write_atomically(tmp_path / "new", b"2")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_a_name_as_long_as_names_can_be_is_written(tmp_path):
    write_atomically(tmp_path / ("n" * 255), b"1")
    with pytest.raises(OSError, match="too long"):
        write_atomically(tmp_path / ("n" * 256), b"1")


def test_many_writers_of_one_file_leave_one_whole_version(tmp_path):
    versions = [bytes([i]) * 100_000 for i in range(8)]
    threads = [threading.Thread(target=write_atomically, args=(tmp_path / "x", v)) for v in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "x").read_bytes() in versions
    assert os.listdir(tmp_path) == ["x"]


def test_a_folder_is_checked_without_a_trace(tmp_path):
    check_folder(tmp_path / "a" / "b")
    check_folder(tmp_path)
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(GenbenchError, match="cannot write into"):
        check_folder(tmp_path / "file" / "b")

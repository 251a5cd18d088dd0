"""Unpacking takes the member that was asked for, and nothing leaves the folder."""

import stat
import tarfile
import zipfile

import pytest

from finecomb.assets import unpack as module
from finecomb.assets.unpack import unpack
from finecomb.core.errors import ConfigError


def target(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", ["data/../../escaped", "data//../escaped", "data/..\\escaped"])
def test_a_name_that_leaves_its_folder_is_refused(tmp_path, zipped, name):
    archive = zipped(tmp_path / "a.zip", {"data/fine.txt": "x", name: "evil"})
    with pytest.raises(ConfigError, match="unsafe name"):
        unpack(archive, ["data"], target(tmp_path), said="a.zip")
    assert not list(tmp_path.rglob("escaped"))


def test_links_are_not_files(tmp_path):
    tar = tmp_path / "a.tar"
    with tarfile.open(tar, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"data/{kind.decode()}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    zip_file = tmp_path / "a.zip"
    with zipfile.ZipFile(zip_file, "w") as archive:
        info = zipfile.ZipInfo("data/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    for number, path in enumerate((tar, zip_file)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(ConfigError, match="no file or folder data"):
            unpack(path, ["data"], folder, said=path.name)


def test_more_bytes_than_allowed_are_not_written(tmp_path, zipped, monkeypatch):
    monkeypatch.setattr(module, "LIMIT_BYTES", 1000)
    archive = zipped(tmp_path / "a.zip", {"data/one": "x" * 600, "data/two": "x" * 600})
    with pytest.raises(ConfigError, match="more than"):
        unpack(archive, ["data"], target(tmp_path), said="a.zip")


def test_a_file_that_is_no_archive_and_one_cut_short(tmp_path, zipped):
    (tmp_path / "plain").write_text("hello")
    with pytest.raises(ConfigError, match="not a zip or tar archive"):
        unpack(tmp_path / "plain", ["x"], target(tmp_path), said="plain")
    whole = zipped(tmp_path / "a.zip", {"x": "hello" * 100}).read_bytes()
    (tmp_path / "b.zip").write_bytes(whole.replace(b"hellohello", b"jelloxello", 1))
    folder = tmp_path / "other"
    folder.mkdir()
    with pytest.raises(ConfigError, match="cannot take x out of the archive: Bad CRC"):
        unpack(tmp_path / "b.zip", ["x"], folder, said="b.zip")

import gzip
import stat
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from dlvr_jax.data import fetch as fetch_module
from dlvr_jax.data.builders.csv_series import csv_series
from dlvr_jax.data.builders.digits import digits
from dlvr_jax.data.builders.image_folder import image_folder
from dlvr_jax.data.builders.parallel_tsv import parallel_tsv
from dlvr_jax.data.builders.text_file import text_file
from dlvr_jax.data.fetch import File, Files, Origin, check_path, fetch
from dlvr_jax.data.packages import Package, PackageError, unpack
from dlvr_jax.data.sources import Source
from dlvr_jax.errors import UserError

CONTENT = b"one, two, three\n" * 100
DIGEST = sha256(CONTENT).hexdigest()
FILE = File("numbers.txt.gz", DIGEST)


def published(folder: Path, raw: bytes | None = None) -> Path:
    """A folder that holds the file, as it should be or with other bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE.name).write_bytes(gzip.compress(CONTENT) if raw is None else raw)
    return folder


def origin(folders: tuple[Path, ...] = (), addresses: tuple[str, ...] = (), package: Package | None = None) -> Origin:
    return Origin("numbers", (FILE,), folders, addresses, package)


def client(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package client of that name, first on PATH."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_the_users_path_may_be_a_folder_a_file_or_decompressed(tmp_path: Path) -> None:
    folder = published(tmp_path / "a folder")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "numbers.txt").write_bytes(CONTENT)
    for path in (folder, folder / FILE.name, bare, bare / "numbers.txt"):
        assert fetch(origin(), str(path)) == {FILE.name: CONTENT}


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (gzip.compress(CONTENT)[:-20], "is truncated or damaged"),
        (gzip.compress(CONTENT[:-1]), "is not the right file"),
        (b"<html>not found</html>", "is not the right file"),
        (b"", "is not the right file"),
    ],
    ids=["cut short", "of other content", "a web page", "empty"],
)
def test_a_wrong_file_is_named_with_both_digests(raw: bytes, fault: str, tmp_path: Path) -> None:
    folder = published(tmp_path / "given", raw)
    with pytest.raises(UserError) as caught:
        check_path(origin(), str(folder))
    message = str(caught.value)
    content = raw if fault != "is not the right file" or raw[:2] != b"\x1f\x8b" else gzip.decompress(raw)
    assert message.startswith(f"data.path = {str(folder)!r}: {folder / FILE.name} {fault}")
    assert DIGEST in message and sha256(content).hexdigest() in message
    assert "\n" not in message


def test_a_path_that_does_not_exist_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        digits(path=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"digits.csv.gz cannot be read \(No such file or directory\)"):
        digits(path=str(tmp_path))


def test_the_first_way_that_works_counts(tmp_path: Path, cache: Path) -> None:
    good, bad = published(tmp_path / "good"), published(tmp_path / "bad", b"bad")
    missing = tmp_path / "missing"
    assert fetch(origin(folders=(missing, bad, good)), None) == {FILE.name: CONTENT}
    published(cache / "files" / "numbers")
    assert fetch(origin(folders=(bad,)), None) == {FILE.name: CONTENT}


def test_a_published_address_goes_through_the_cache(tmp_path: Path, cache: Path) -> None:
    address = published(tmp_path / "published").as_uri() + "/"
    assert fetch(origin(addresses=(address,)), None) == {FILE.name: CONTENT}
    assert fetch(origin(), None) == {FILE.name: CONTENT}  # now with no way but the cache
    assert [file.name for file in (cache / "files" / "numbers").iterdir()] == [FILE.name]


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path, cache: Path) -> None:
    kept = published(cache / "files" / "numbers", b"damaged")
    address = published(tmp_path / "published").as_uri() + "/"
    assert fetch(origin(addresses=(address,)), None) == {FILE.name: CONTENT}
    assert gzip.decompress((kept / FILE.name).read_bytes()) == CONTENT


def test_a_wrong_download_is_not_kept(tmp_path: Path, cache: Path) -> None:
    address = published(tmp_path / "published", b"wrong").as_uri() + "/"
    with pytest.raises(UserError, match="is not the right file"):
        fetch(origin(addresses=(address,)), None)
    assert not cache.exists()


def test_when_nothing_works_one_line_names_every_way(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_module, "TIMEOUT", 0.5)
    client(tmp_path / "bin", "apt-get", "echo 'E: Unable to locate package' >&2; exit 100", monkeypatch)
    package = Package("apt", "dataset-numbers", folder="usr/share")
    ways = origin((tmp_path / "folder",), ("http://127.0.0.1:9/",), package)
    with pytest.raises(UserError) as caught:
        fetch(ways, None)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("data set numbers: no way to its files worked")
    for way in (cache / "files" / "numbers", tmp_path / "folder", "http://127.0.0.1:9/", "the apt package"):
        assert str(way) in message
    assert "E: Unable to locate package" in message
    assert message.endswith("set data.path to a folder with numbers.txt.gz")


def test_apt_fetches_with_its_own_lists_where_the_machines_are_empty(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first `download` fails, as on a fresh machine; `update` and `download` with own lists work."""
    folder = published(tmp_path / "published")
    log = tmp_path / "log"
    client(
        tmp_path / "bin",
        "apt-get",
        f'echo "$@" >> "{log}"; case "$*" in download*) exit 100;; *download*) : > numbers_1_all.deb;; esac',
        monkeypatch,
    )
    client(tmp_path / "bin", "dpkg", f'mkdir -p "$3/usr" && cp -r "{folder}" "$3/usr/share"', monkeypatch)
    package = Package("apt", "dataset-numbers", folder="usr/share")
    assert fetch(origin(package=package), None) == {FILE.name: CONTENT}
    assert fetch(origin(), None) == {FILE.name: CONTENT}
    calls = log.read_text().splitlines()
    assert calls[0] == "download dataset-numbers"
    assert [call.split()[-1] for call in calls[1:]] == ["update", "dataset-numbers"]
    assert all("Dir::State::lists=" in call for call in calls[1:])


def test_pip_wheels_are_read_as_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "numbers-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("numbers/data/numbers.txt.gz", gzip.compress(CONTENT))
        archive.writestr("other/file", b"")
    script = f'case "$*" in *"--no-deps --only-binary :all:"*numbers==1) cp "{wheel}" . ;; *) exit 1;; esac'
    client(tmp_path / "bin", "python", script, monkeypatch)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    package = Package("pip", "numbers", folder="numbers/data", version="1")
    assert fetch(origin(package=package), None) == {FILE.name: CONTENT}


def test_npm_archives_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = published(tmp_path / "package" / "data")
    script = f'[ "$*" = "pack --silent numbers@1" ] && tar -czf numbers-1.tgz -C "{tmp_path}" package'
    client(tmp_path / "bin", "npm", script, monkeypatch)
    package = Package("npm", "numbers", folder="package/data", version="1")
    assert fetch(origin(package=package), None) == {FILE.name: CONTENT}
    assert folder.exists()


def test_a_missing_client_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError, match="npm is not on this machine"):
        unpack(Package("npm", "numbers", folder="package", version="1"), tmp_path)


def test_a_client_that_brings_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client(tmp_path / "bin", "npm", "exit 0", monkeypatch)
    with pytest.raises(PackageError, match=r"0 archives \*.tgz came where one was expected"):
        unpack(Package("npm", "numbers", folder="package", version="1"), tmp_path)


def many(folder: Path) -> tuple[Path, Files]:
    """Four files of which three match, and these in the order of their digest."""
    for name in ("b/10.txt", "b/9.txt", "a/1.txt", "a/1.html"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    hashed = b"b/10.txt\x008\x00b/10.txtb/9.txt\x007\x00b/9.txta/1.txt\x007\x00a/1.txt"
    return folder, Files(("b/*.txt", "a/*.txt"), sha256(hashed).hexdigest())


def test_many_files_come_by_patterns_in_a_fixed_order(tmp_path: Path, cache: Path) -> None:
    folder, files = many(tmp_path / "many")
    expected = ["b/10.txt", "b/9.txt", "a/1.txt"]
    assert list(fetch(Origin("many", (files,)), str(folder)).items()) == [(name, name.encode()) for name in expected]
    (folder / "b" / "9.txt").write_bytes(b"changed")
    with pytest.raises(UserError, match=r"does not hold the right files b/\*.txt, a/\*.txt: there are 3, SHA-256"):
        check_path(Origin("many", (files,)), str(folder))


def test_names_are_checked_too(tmp_path: Path) -> None:
    """Classes and splits follow from them."""
    folder, files = many(tmp_path / "many")
    (folder / "b" / "9.txt").rename(folder / "b" / "99.txt")
    with pytest.raises(UserError, match="SHA-256 .* of their names and contents"):
        check_path(Origin("many", (files,)), str(folder))


@pytest.mark.parametrize("builder", [digits, csv_series, image_folder, parallel_tsv, text_file])
def test_the_home_of_nobody_is_an_error(builder: Callable[..., Source]) -> None:
    with pytest.raises(UserError, match=r"data.path = '~no-such-user/x': Could not determine home"):
        builder(path="~no-such-user/x")


def test_many_files_of_a_package_are_kept(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, files = many(tmp_path / "package" / "data")
    client(tmp_path / "bin", "npm", f'tar -czf many-1.tgz -C "{tmp_path}" package', monkeypatch)
    package = Package("npm", "many", folder="package/data", version="1")
    found = fetch(Origin("many", (files,), package=package), None)
    kept = cache / "files" / "many"
    assert sorted(path.relative_to(kept).as_posix() for path in kept.glob("*/*")) == sorted(found)
    assert fetch(Origin("many", (files,)), None) == found  # now with no way but the cache


def test_an_address_lists_no_files(tmp_path: Path, cache: Path) -> None:
    folder, files = many(tmp_path / "many")
    with pytest.raises(UserError, match=r"lists no files b/\*.txt"):
        fetch(Origin("many", (files,), addresses=(folder.as_uri() + "/",)), None)

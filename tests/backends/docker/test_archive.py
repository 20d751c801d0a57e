"""What a container is given before it starts."""

from __future__ import annotations

import io
import tarfile

from zoe_jupyter.backends.docker import archive


def test_files_belong_to_the_services_user_alone() -> None:
    packed = io.BytesIO(archive.folder_archive({"conf/a.txt": "x"}, "1000:1001"))
    with tarfile.open(fileobj=packed) as made:
        entries = {each.name: (oct(each.mode), each.uid, each.gid) for each in made}
    assert entries == {
        "zoe": ("0o700", 1000, 1001),
        "zoe/conf": ("0o700", 1000, 1001),
        "zoe/conf/a.txt": ("0o600", 1000, 1001),
    }


def test_variables_are_a_file_beside_them_that_the_service_can_only_read() -> None:
    packed = io.BytesIO(archive.folder_archive({}, "1000:1001", variables={"A": "it's"}))
    with tarfile.open(fileobj=packed) as made:
        entries = {each.name: (oct(each.mode), each.uid, each.gid) for each in made}
        content = made.extractfile("run/zoe/environment")
        assert content is not None
        assert content.read() == b"export A='it'\"'\"'s'\n:\n"
    assert entries == {
        "zoe": ("0o700", 1000, 1001),
        "run/zoe": ("0o755", 0, 0),
        "run/zoe/environment": ("0o400", 1000, 1001),
    }

"""Writes test/fixtures/tar: one set of files as Python's tarfile archives it in each of its three formats.

python scripts/make-tar-fixtures.py     (standard library only; 10 to 20 kB each, committed)
A file's content is its place in the list, its name, and so many dots that members cross blocks.
"""
import io
import tarfile
from pathlib import Path

folder = Path(__file__).parent.parent / "test/fixtures/tar"
folder.mkdir(parents=True, exist_ok=True)

short = ["a.jpg", "a.cls", "dir/b.jpg", "empty.txt"]
prefixed = ["p" * 80 + "/" + "n" * 90 + ".jpg"]  # fits ustar's prefix
long = ["l" * 120 + "/" + "m" * 160 + ".jpg", "snö/雪.jpg", "after.jpg"]

formats = {
    "ustar": (tarfile.USTAR_FORMAT, short + prefixed),
    "gnu": (tarfile.GNU_FORMAT, short + prefixed + long),
    "pax": (tarfile.PAX_FORMAT, short + prefixed + long),
}
for name, (form, names) in formats.items():
    with tarfile.open(folder / f"{name}.tar", "w", format=form) as archive:
        directory = tarfile.TarInfo("dir")
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
        link = tarfile.TarInfo("link.jpg")
        link.type = tarfile.SYMTYPE
        link.linkname = "k" * 130 if form != tarfile.USTAR_FORMAT else "k"
        archive.addfile(link)
        for place, file in enumerate(names):
            content = b"" if file == "empty.txt" else f"{place} {file} ".encode() + b"." * (400 * place)
            member = tarfile.TarInfo(file)
            member.size = len(content)
            if form == tarfile.PAX_FORMAT:
                member.mtime = 1.5  # a PAX record beside the path's
            archive.addfile(member, io.BytesIO(content))

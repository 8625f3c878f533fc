"""Writes test/fixtures/parquet: data sets of pictures as the hub's library and as others write them.

python scripts/make-parquet-fixtures.py     (pyarrow 26, Pillow; a few kilobytes each, committed)
Picture n is 8 x 8 of the one colour (n * 20, 255 - n * 20, 100), as PNG; its class is n % 3.
"""
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

folder = Path(__file__).parent.parent / "test/fixtures/parquet"
folder.mkdir(parents=True, exist_ok=True)


def png(n):
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (n * 20, 255 - n * 20, 100)).save(out, "PNG")
    return out.getvalue()


features = {
    "image": {"_type": "Image"},
    "caption": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["zebra", "ant", "cat"], "_type": "ClassLabel"},
}
for part, numbers in enumerate([range(0, 7), range(7, 12)]):
    images = pa.array(
        [{"bytes": png(n), "path": f"{n}.png"} for n in numbers],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    table = pa.table({"image": images, "caption": [f"picture {n}" for n in numbers], "label": [n % 3 for n in numbers]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, folder / f"train-{part:05d}-of-00002.parquet", row_group_size=3, compression="snappy")

plain = pa.table({"caption": ["a", "b", "c"], "jpg": [png(0), None, png(2)], "cls": [2, 0, 1]})
pq.write_table(plain, folder / "plain.parquet", compression="zstd")
pq.write_table(pa.table({"text": ["a"], "number": [1]}), folder / "no-pictures.parquet")

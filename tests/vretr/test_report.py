from io import BytesIO

from PIL import Image

from vretr import report

EVIL = "\"><img src=x onerror=alert(1)>'</style></title><script>alert(2)</script>&amp;{{ 7*7 }}"


def test_curves() -> None:
    rows = [{"step": i, "loss": 1 / i, "grad_norm": None, "seconds": i} for i in range(1, 50)]
    rows[9]["validation"] = {"recall@10": 0.3}
    series = report._series(rows)
    assert list(series) == ["validation recall@10", "loss"]
    assert series["validation recall@10"] == [(10, 0.3)]
    assert series["loss"][-1] == (49, 1 / 49)
    assert Image.open(BytesIO(report.curves(rows))).format == "PNG"


def test_no_rows_no_curves() -> None:
    assert report.curves([]) == b""
    about = {"method": "m", "kind": "encoder", "encoder": None, "vretr": "1", "metrics": {}}
    assert "<img" not in report.run_page(about, "lr = 1", [])


def test_the_page_of_a_run() -> None:
    about = {
        "method": EVIL,
        "kind": "encoder",
        "encoder": {"name": EVIL, "identity": "1"},
        "vretr": "1",
        "metrics": {EVIL: 0.5},
    }
    rows = [{"step": step, "loss": 1 / step, "seconds": step} for step in range(1, 5)]
    page = report.run_page(about, EVIL, rows, [(EVIL, Image.new("CMYK", (400, 100)))])
    assert (
        "<script" not in page and "<img src=x" not in page and "49" not in page.split("base64")[0]
    )
    assert page.count("<img ") == 2 and "0.5000" in page

import numpy as np

from tests.analysis.page import page


def test_pictures_are_drawn_for_those_shown_alone_and_what_cannot_be_is_told(writer):
    for _ in range(4):
        writer.trial([0.1] * 9 + [0.25])
    writer.finish()
    images = np.zeros((2, 4, 4, 3), np.uint8)
    for trial in (1, 2, 3, 4):
        folder = writer.path / "trials" / f"{trial:05d}" / "artifacts"
        folder.mkdir(parents=True)
        np.savez(folder / "pictures.npz", samples=images)
    (writer.path / "trials" / "00001" / "artifacts" / "pictures-epoch-00005.npz").write_bytes(b"cut short")
    one = page(writer)
    assert len([value for tag, name, value in one.attributes if (tag, name) == ("img", "src")]) == 2
    assert "pictures-epoch-00005.npz cannot be drawn" in one.words("pictures")
    assert [path.parts[-3] for path in sorted(writer.path.rglob("samples.png"))] == ["00001", "00002"]

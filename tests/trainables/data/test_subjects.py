import json
from pathlib import Path

import pytest

from trainables.data.errors import DataError
from trainables.data.subjects import ACCEPTED, Cohort, find_subjects, parse_modalities

FOUR = ("t1", "t1ce", "t2", "flair")


def make(root: Path, *patterns: str, count: int = 10) -> str:
    """Empty files; * is the subject's number, two digits."""
    for number in range(1, count + 1):
        for pattern in patterns:
            path = root / pattern.replace("*", f"{number:02}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return str(root)


def files(cohort: Cohort, root: Path, number: int = 0) -> dict[str, str]:
    return {
        modality: place.path.relative_to(root).as_posix() for modality, place in cohort.subjects[number].files.items()
    }


def refused(source: str, wanted: str | None = None) -> list[str]:
    with pytest.raises(DataError) as error:
        find_subjects(source, wanted)
    assert error.value.source == source
    return error.value.problems


@pytest.mark.parametrize(
    ("stem", "spellings", "name"),
    [
        ("sub-*/sub-*_", FOUR, "sub-01"),
        ("sub-*_", FOUR, "sub-01"),
        ("sub-*/anat/sub-*_", ("T1w", "ce-gadolinium_T1w", "T2w", "FLAIR"), "sub-01"),
        ("sub-*/ses-2/anat/sub-*_ses-2_", ("T1w", "ce-gadolinium_T1w", "T2w", "FLAIR"), "sub-01_ses-2"),
        ("HGG/BraTS20_Training_0*/BraTS20_Training_0*_", FOUR, "BraTS20_Training_001"),
        ("BraTS-GLI-000*-000/BraTS-GLI-000*-000-", ("t1n", "t1c", "t2w", "t2f"), "BraTS-GLI-00001-000"),
        ("UPENN-GBM-*_11_", ("T1", "T1GD", "T2", "FLAIR"), "UPENN-GBM-01_11"),
        ("scan *.", ("T1", "T1_post", "T2", "T2-FLAIR"), "scan 01"),
        ("patient */", ("t1", "t1gd", "t2", "flair"), "patient 01"),
        ("*/", ("T1/image", "T1ce/image", "T2/image", "FLAIR/image"), "01/image"),
    ],
)
def test_layouts(tmp_path: Path, stem: str, spellings: tuple[str, ...], name: str):
    source = make(tmp_path, *(f"{stem}{spelling}.nii.gz" for spelling in spellings))
    cohort = find_subjects(source, None)
    assert cohort.modalities == FOUR
    assert cohort.subjects[0].name == name
    assert len(cohort.subjects) == 10
    expected = {
        modality: f"{stem}{spelling}.nii.gz".replace("*", "01")
        for modality, spelling in zip(FOUR, spellings, strict=True)
    }
    assert files(cohort, tmp_path) == expected
    assert (cohort.labels, cohort.notes) == (None, ())


@pytest.mark.parametrize("key", ["modality", "channel_names"])
def test_numbered_channels_are_those_of_dataset_json(tmp_path: Path, key: str):
    """The layout of nnU-Net."""
    source = make(
        tmp_path, *(f"imagesTr/BRATS_*_000{number}.nii.gz" for number in range(3)), "labelsTr/BRATS_*.nii.gz"
    )
    cohort = find_subjects(source, None)
    assert cohort.subjects[0].name == "BRATS_01"
    assert cohort.modalities == ("0000", "0001", "0002")
    (tmp_path / "dataset.json").write_text(json.dumps({key: {"2": "ADC map", "0": "FLAIR", "1": "T1w"}}))
    cohort = find_subjects(source, None)
    assert cohort.modalities == ("t1", "flair", "adcmap")
    assert files(cohort, tmp_path)["adcmap"] == "imagesTr/BRATS_01_0002.nii.gz"
    assert cohort.notes == ("10 segmentations, masks or derivatives are not read",)


def test_numbers_of_subjects_are_no_channels(tmp_path: Path):
    cohort = find_subjects(make(tmp_path, "IXI_00*.nii.gz"), None)
    assert len(cohort.subjects) == 10
    assert cohort.modalities == ("volume",)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"modality": {"1": "T1w"}}', '{"modality": ["T1w"]}'])
def test_a_dataset_json_that_names_no_channels(tmp_path: Path, content: str):
    source = make(tmp_path, "BRATS_*.nii.gz")
    (tmp_path / "dataset.json").write_text(content)
    (problem,) = refused(source)
    assert problem.startswith("dataset.json does not name the channels (")
    assert problem.endswith('expected, such as, {"modality": {"0": "T1w", "1": "T2w"}}')


def test_more_channels_than_a_model_takes(tmp_path: Path):
    source = make(tmp_path, *(f"BRATS_*_000{number}.nii.gz" for number in range(5)))
    names = {str(number): f"b{number}" for number in range(5)}
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": names}))
    assert refused(source)[0].startswith("5 modalities, found are b0 (10), b1 (10), ")
    assert find_subjects(source, "b3,b0").modalities == ("b3", "b0")


def test_folders_of_one_modality_each(tmp_path: Path):
    cohort = find_subjects(make(tmp_path, "T1/*.nii", "t2/*.nii"), None)
    assert [subject.name for subject in cohort.subjects] == [f"{number:02}" for number in range(1, 11)]
    assert files(cohort, tmp_path) == {"t1": "T1/01.nii", "t2": "t2/01.nii"}


def test_the_modality_may_stand_first(tmp_path: Path):
    cohort = find_subjects(make(tmp_path, "T1_*.nii.gz", "T2_*.nii.gz"), None)
    assert cohort.subjects[0].name == "01"
    assert cohort.modalities == ("t1", "t2")


def test_the_same_name_in_two_folders_is_two_subjects(tmp_path: Path):
    cohort = find_subjects(make(tmp_path, "north/sub-*_t1.nii", "south/sub-*_t1.nii", count=5), None)
    assert [subject.name for subject in cohort.subjects][4:6] == ["north/sub-05", "south/sub-01"]


def test_segmentations_masks_and_derivatives_are_kept_out(tmp_path: Path):
    out = ("*_seg.nii.gz", "*-t1_mask.nii", "labelsTr/*.nii.gz", "*_T1w_brainmask.nii", "derivatives/fsl/*_t1.nii")
    source = make(tmp_path, "*_t1.nii.gz", *out)
    cohort = find_subjects(source, None)
    assert cohort.modalities == ("t1",)
    assert [place.path for subject in cohort.subjects for place in subject.files.values()] == sorted(
        tmp_path.glob("*_t1.nii.gz")
    )
    assert cohort.notes == ("50 segmentations, masks or derivatives are not read",)


def test_of_several_versions_the_plainest_is_taken(tmp_path: Path):
    source = make(tmp_path, "sub-*_T1w.nii", "sub-*_acq-b_T1w.nii", "x*_T1.nii", "x*_T1_bias.nii", count=5)
    cohort = find_subjects(source, None)
    assert files(cohort, tmp_path, 0) == {"t1": "sub-01_T1w.nii"}
    assert files(cohort, tmp_path, 5) == {"t1": "x01_T1.nii"}
    (note,) = cohort.notes
    assert note.startswith("left out are 10 further versions of a modality: sub-01_acq-b_T1w.nii; ")


def test_modalities_that_most_subjects_lack_are_not_read(tmp_path: Path):
    make(tmp_path, "*_t1.nii", "*_t2.nii")
    cohort = find_subjects(make(tmp_path, "*_flair.nii", count=5), None)
    assert cohort.modalities == ("t1", "t2")
    assert cohort.notes == ("most subjects lack flair: not read; found are t1 (10), t2 (10), flair (5)",)
    assert find_subjects(str(tmp_path), "FLAIR, t1n").modalities == ("flair", "t1")


def test_a_subject_may_lack_what_most_have(tmp_path: Path):
    source = make(tmp_path, "*_t1.nii", "*_t2.nii")
    (tmp_path / "03_t2.nii").unlink()
    cohort = find_subjects(source, None)
    assert cohort.modalities == ("t1", "t2")
    assert cohort.subjects[2].files.keys() == {"t1"}


def test_other_modalities_are_known_if_they_are_named(tmp_path: Path):
    source = make(tmp_path, "*_t1.nii", "*_ADC.nii")
    cohort = find_subjects(source, None)
    assert cohort.modalities == ("t1",)
    assert cohort.notes[0].startswith("left out are 10 volumes of unknown modality: 01_ADC.nii; ")
    cohort = find_subjects(source, "adc,t1")
    assert (cohort.modalities, cohort.notes) == (("adc", "t1"), ())


def test_files_that_name_no_modality_are_subjects_of_their_own(tmp_path: Path):
    cohort = find_subjects(make(tmp_path, "case-*.nii.gz"), None)
    assert [subject.name for subject in cohort.subjects] == [f"case-{number:02}" for number in range(1, 11)]
    assert cohort.modalities == ("volume",)
    assert cohort.notes == ("no file names a modality (t1, t1ce, t2, flair): each counts as a subject of its own",)


def test_absent_modalities_are_refused(tmp_path: Path):
    source = make(tmp_path, "*_t1.nii")
    assert refused(source, "t1,t2,pet") == ["no volume has t2 or pet in its name; found are t1 (10)"]
    make(tmp_path, "x*_t2.nii")
    (problem,) = refused(source)
    assert problem.startswith("no modality is there for most of the 20 subjects, found are t1 (10), t2 (10); choose")


@pytest.mark.parametrize("wanted", ["", "t1,", "t1,T1w", "a,b,c,d,e"])
def test_malformed_modalities_are_refused(wanted: str):
    with pytest.raises(DataError, match="expected one to 4 different names separated by commas, such as t1,t2"):
        parse_modalities("source", wanted)


def test_too_few_volumes_and_no_folder(tmp_path: Path):
    source = make(tmp_path, "*_t1.nii.gz", "*_seg.nii.gz", count=9)
    assert refused(source)[-1] == f"accepted is {ACCEPTED}"
    assert refused(str(tmp_path / "absent"))[0].startswith("no such folder")


def test_labels_of_participants(tmp_path: Path):
    source = make(tmp_path, "sub-*/ses-1/anat/sub-*_ses-1_T1w.nii.gz")
    table = tmp_path / "participants.tsv"
    rows = [f"sub-{number:02}\t{30 + number}\t{'patient' if number % 2 else 'control'}" for number in range(1, 11)]
    table.write_text("\n".join(["participant_id\tage\tgroup", *rows]))
    cohort = find_subjects(source, None)
    assert (cohort.labels, cohort.notes) == (["patient", "control"] * 5, ())
    table.write_text("\n".join(["participant_id\tage\tgroup", *rows[:8], "sub-09\t7\t"]))
    cohort = find_subjects(source, None)
    assert cohort.labels == ["patient", "control"] * 4 + ["n/a", "n/a"]
    assert cohort.notes == ("participants.tsv does not name 1 subjects: sub-10_ses-1",)


@pytest.mark.parametrize("content", [b"", b"participant_id\tage\nsub-01\t3", b"group\nx", b"\xff\xfe\x00"])
def test_participants_without_labels(tmp_path: Path, content: bytes):
    source = make(tmp_path, "sub-*_T1w.nii.gz")
    (tmp_path / "participants.tsv").write_bytes(content)
    cohort = find_subjects(source, None)
    assert cohort.labels is None
    assert len(cohort.notes) == content.startswith(b"\xff")

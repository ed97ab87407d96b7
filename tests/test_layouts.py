"""Every data set's tree and lists are understood; what is missing from them is known."""

import json
from collections import Counter
from pathlib import Path

import pytest

from core.errors import InputError
from training.layouts import LAYOUTS, read
from training.layouts.sample import groups


def lay(root, *names, **texts):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name, text in texts.items():
        path = root / name.replace("__", "/").replace("_json", ".json").replace("_csv", ".csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    return root


def by_id(samples):
    return {sample.id: sample for sample in samples}


def faceforensics(root):
    folders = ["original_sequences/youtube", *(f"manipulated_sequences/{m}" for m in ("Deepfakes", "Face2Face"))]
    names = {folders[0]: ["000", "003", "010", "011"]}
    videos = [f"{f}/c23/videos/{n}.mp4" for f in folders for n in names.get(f, ["000_003", "003_000", "010_011"])]
    actors = [
        "original_sequences/actors/c40/videos/01__exit_phone_room.mp4",
        "manipulated_sequences/DeepFakeDetection/c40/videos/01_02__exit_phone_room__YVGY8LOK.mp4",
    ]
    return lay(root, *videos, *actors, train_json=[["000", "003"]], val_json=[], test_json=[["010", "011"]])


def test_faceforensics_follows_the_official_splits_and_knows_what_is_missing(tmp_path):
    found, missing = read("faceforensics", faceforensics(tmp_path))
    assert {s.id for s in missing} == {"Deepfakes/c23/011_010", "Face2Face/c23/011_010"}
    assert len(found) == 4 + 3 + 3 + 2
    sample = by_id(found)
    swap, reenacted = sample["Deepfakes/c23/000_003"], sample["Face2Face/c23/000_003"]
    assert (swap.label, swap.split, swap.method, swap.compression) == (1, "train", "Deepfakes", "c23")
    assert (swap.source, swap.identity, swap.pair) == ("ffpp/000", "ffpp/000+ffpp/003", "ffpp/000_003")
    assert reenacted.identity == "ffpp/000"
    assert sample["original/c23/010"].split == "test"
    assert sample["original/c23/010"].method == "genuine"
    dfd = sample["DeepFakeDetection/c40/01_02__exit_phone_room__YVGY8LOK"]
    assert (dfd.source, dfd.identity, dfd.split) == ("dfd/01__exit_phone_room", "dfd/01+dfd/02", "test")
    assert {s.id for s in read("dfd", tmp_path)[0]} == {dfd.id, "actors/c40/01__exit_phone_room"}
    train, test = ({b for s in found if s.split == part for b in s.bonds} for part in ("train", "test"))
    assert train
    assert not train & test


def test_faceforensics_without_its_splits_says_where_they_are(tmp_path):
    (faceforensics(tmp_path) / "val.json").unlink()
    with pytest.raises(InputError, match=r"train\.json, val\.json and test\.json from `dataset/splits`"):
        read("faceforensics", tmp_path)


def test_celeb_df_takes_its_list_for_the_test(tmp_path):
    videos = ["Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id16_0000.mp4", "YouTube-real/00170.mp4"]
    lay(tmp_path, *videos)
    (tmp_path / "List_of_testing_videos.txt").write_text("1 YouTube-real/00170.mp4\n1 Celeb-real/id1_0001.mp4\n")
    found, missing = read("celeb-df", tmp_path)
    sample = by_id(found)
    assert [s.id for s in missing] == ["Celeb-real/id1_0001"]
    assert {s.id: (s.label, s.split) for s in found} == {
        "Celeb-real/id0_0000": (0, "train"),
        "Celeb-synthesis/id0_id16_0000": (1, "train"),
        "YouTube-real/00170": (0, "test"),
    }
    swap = sample["Celeb-synthesis/id0_id16_0000"]
    assert swap.source == sample["Celeb-real/id0_0000"].source == "celeb-df/id0_0000"
    assert swap.identity == "celeb-df/id0+celeb-df/id16"


def test_dfdc_reads_the_metadata_of_every_part(tmp_path):
    lay(tmp_path, "dfdc_train_part_00/a.mp4", "dfdc_train_part_00/b.mp4", "test/c.mp4", "test/d.mp4")
    lay(
        tmp_path,
        dfdc_train_part_00__metadata_json={
            "a.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"},
            "b.mp4": {"label": "REAL", "split": "train", "original": None},
            "z.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"},
        },
        test__labels_csv="filename,label\nc.mp4,1\nd.mp4,0\n",
    )
    found, missing = read("dfdc", tmp_path)
    assert [s.id for s in missing] == ["dfdc_train_part_00/z"]
    assert {s.id: (s.label, s.split, s.source) for s in found} == {
        "dfdc_train_part_00/a": (1, "train", "dfdc/b"),
        "dfdc_train_part_00/b": (0, "train", "dfdc/b"),
        "test/c": (1, "test", "dfdc/c"),
        "test/d": (0, "test", "dfdc/d"),
    }


def test_the_preview_of_dfdc_names_both_people_of_a_swap(tmp_path):
    genuine, swap = "original_videos/11/11_A_001.mp4", "method_A/11/11_A/22_11_A_002.mp4"
    lay(
        tmp_path,
        genuine,
        swap,
        dataset_json={
            genuine: {"label": "real", "set": "train", "target_id": 11, "swapped_id": None, "augmentations": []},
            swap: {"label": "fake", "set": "train", "target_id": 11, "swapped_id": 22, "augmentations": ["crf"]},
        },
    )
    found, missing = read("dfdc-preview", tmp_path)
    sample = by_id(found)
    assert not missing
    fake, real = sample[swap[:-4]], sample[genuine[:-4]]
    assert (fake.label, fake.split, fake.method, fake.compression) == (1, "train", "method_A", "crf")
    assert fake.source == real.source == "dfdc-preview/11_A"
    assert fake.identity == "dfdc-preview/11+dfdc-preview/22"


def test_deeperforensics_shares_its_targets_with_faceforensics(tmp_path):
    lay(tmp_path, "manipulated_videos/end_to_end/000_M101.mp4", "original_sequences/youtube/c23/videos/000.mp4")
    for split, text in {"train": "000_M101.mp4\n003_W104.mp4\n", "val": "", "test": ""}.items():
        path = tmp_path / "lists" / "splits" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found, missing = read("deeperforensics", tmp_path)
    assert {s.id for s in missing} == {"end_to_end/003_W104", "original/003"}
    fake, real = sorted(found, key=lambda s: -s.label)
    assert fake.identity == "ffpp/000+deeperforensics/M101"
    assert real.bonds == {"source:ffpp/000", "identity:ffpp/000"}


def test_uadfv_is_shared_out_by_pairs_and_always_in_the_same_way(tmp_path):
    lay(tmp_path, *(f"real/{i:04}.mp4" for i in range(49)), *(f"fake/{i:04}_fake.mp4" for i in range(48)))
    found, missing = read("uadfv", tmp_path)
    assert [s.id for s in missing] == ["fake/0048"]
    parts = {s.source: set() for s in found}
    for s in found:
        parts[s.source].add(s.split)
    assert all(len(part) == 1 for part in parts.values())
    assert {s.split for s in found} == {"train", "val", "test"}
    counts = Counter((s.split, s.label) for s in found)
    assert counts["train", 0] in (39, 40)
    assert {counts[split, label] for split in ("val", "test") for label in (0, 1)} <= {4, 5}
    assert found == read("uadfv", tmp_path)[0]


def test_a_list_needs_files_and_labels_and_knows_the_columns_of_our_own(tmp_path):
    listing = tmp_path / "list.csv"
    lay(tmp_path, "clips/a.mp4", "b.mp4")
    listing.write_text(
        "file,label,split,family,method,identity,pair,origin_repo\n"
        "clips/a.mp4,real,test,,,anna,,x/y\nb.mp4,fake,train,face_swap,Tool,anna+berta,p,\n../c.mp4,1,,face_swap,,,,\n"
    )
    found, missing = read("csv", listing)
    a, b = found
    assert (a.id, a.label, a.split, a.method, a.source) == ("clips/a.mp4", 0, "test", "genuine", "x/y")
    assert (b.label, b.method, b.pair, b.path) == (1, "Tool", "p", tmp_path / "b.mp4")
    assert [(s.id, s.method) for s in missing] == [("c.mp4", "face_swap")]
    assert groups([a, b]) == [0, 0]
    lay(tmp_path, *(f"berta{i}.mp4" for i in range(9)))
    listing.write_text(
        "file,label,split,identity\nb.mp4,1,test,berta\n" + "".join(f"berta{i}.mp4,0,,berta\n" for i in range(9))
    )
    assert {s.split for s in read("csv", listing)[0]} == {"test"}
    listing.write_text("file,label\nb.mp4,perhaps\n")
    with pytest.raises(InputError, match=r"Line 2 of list\.csv needs a `file` and a `label` of real, genuine, 0, fake"):
        read("csv", listing)
    listing.write_text("file,label\nb.mp4,0\nb.mp4,0\n")
    with pytest.raises(InputError, match=r"listed more than once, such as b\.mp4"):
        read("csv", listing)


def test_the_lists_of_clips_at_hand_are_read(shared):
    listing = shared / "clips" / "dev.csv"
    samples, missing = read("csv", listing)
    assert not missing
    parts = Counter((s.split, s.label) for s in samples)
    assert sum(parts.values()) == 127
    assert all(parts[split, label] >= 5 for split in ("train", "val", "test") for label in (0, 1))
    bonds = {split: {b for s in samples if s.split == split for b in s.bonds} for split in ("train", "val", "test")}
    assert not bonds["train"] & (bonds["val"] | bonds["test"])


def test_a_folder_of_faces_knows_a_person_by_name_or_folder(tmp_path):
    lay(tmp_path, "anna_0001.jpg", "anna_0002.png", "berta/01.jpg", "berta/02.jpg", "notes.txt", "7.jpg")
    found, _ = read("faces", tmp_path)
    assert {s.id: s.identity for s in found} == {
        "anna_0001.jpg": "anna",
        "anna_0002.png": "anna",
        "berta/01.jpg": "berta",
        "berta/02.jpg": "berta",
        "7.jpg": "7",
    }
    assert all(s.label == 0 and s.split in ("train", "val", "test") for s in found)
    (tmp_path / "faces.csv").write_text("file,identity\nanna_0001.jpg,Anna B.\n")
    assert [s.identity for s in read("faces", tmp_path / "faces.csv")[0]] == ["Anna B."]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_that_is_something_else_is_refused_in_one_sentence(layout, tmp_path):
    (tmp_path / "holiday").mkdir()
    for root in (tmp_path, Path("/no/such/folder")):
        with pytest.raises(
            InputError, match=r"(is not laid out as|does not hold|is no list|is no folder of faces)"
        ) as found:
            read(layout, root)
        assert str(root) in str(found.value)


def test_broken_json_is_refused(tmp_path):
    lay(tmp_path, part__metadata_json="{")
    with pytest.raises(InputError, match=r"metadata\.json cannot be read as JSON"):
        read("dfdc", tmp_path)

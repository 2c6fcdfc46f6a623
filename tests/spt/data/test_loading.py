"""From files to splits: values, determinism, and one clear refusal for each kind of bad input."""

import gzip
import json
import re
import tempfile
from collections import Counter
from pathlib import Path
from unittest.mock import Mock

import pytest
from datasets import ClassLabel, Dataset, DatasetDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from spt.data import loading
from spt.data.config import DataConfig
from spt.data.loading import load_splits
from spt.data.reading import sources
from spt.data.reading.raw_table import RawTable
from spt.errors import InputError
from spt.tasks import get_task

CUSTOM = get_task("custom")


@pytest.fixture
def write(tmp_path):
    """A function that writes a file and gives its path."""

    def write_file(name, content, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write_file


def rows_csv(number, classes=2):
    """A CSV of different texts, the classes in turn."""
    return "text,label\n" + "".join(f"text {i},class {i % classes}\n" for i in range(number))


def load(task=CUSTOM, seed=0, **options):
    return load_splits(task, DataConfig(**options), seed)


def texts(split):
    return set(split["text"])


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_found_and_told(write, caplog, delimiter):
    content = rows_csv(40).replace("text ", "text, ").replace("\n", "\r\n")
    plain = load(train=write("commas.csv", content.replace("text, ", "text ")))
    caplog.clear()
    path = write(
        "data.csv", "\ufeff" + content.replace(",label", f"{delimiter}label").replace(",cl", delimiter + "cl")
    )
    splits = load(train=path)
    assert splits["train"]["text"][0].startswith("text, ")
    assert splits["train"]["label"][:] == plain["train"]["label"][:]
    (line,) = [message for message in caplog.messages if "between its fields" in message]
    said = f"{path} has {delimiter!r} between its fields, by its first line"
    assert line == f"{said}; set data.delimiter if that is wrong"


def test_a_delimiter_that_is_set_is_taken_and_not_told(write, caplog):
    path = write("data.csv", rows_csv(40).replace(",", "\t"))
    assert len(load(train=path, delimiter="tab")["train"]) > 30
    assert "between its fields" not in caplog.text
    with pytest.raises(InputError, match="Unknown column"):
        load(train=path, delimiter=";")


def test_a_delimiter_without_a_header_is_found_by_the_number_of_columns(write):
    path = write("data.csv", rows_csv(40).partition("\n")[2].replace(",", ";"))
    assert load(train=path, columns=("text", "label"))["train"]["text"][0].startswith("text ")


def test_splits_have_exactly_these_columns(write):
    pair = get_task("custom", text="a", text_pair="b", label="y")
    path = write("train.csv", "y,extra,b,a\n" + "".join(f"{i % 2},x,B{i},A{i}\n" for i in range(40)))
    splits = load(pair, train=path)
    assert list(splits) == ["train", "dev", "test"]
    assert splits["train"].column_names == ["text", "text_pair", "label"]
    assert splits["train"].features["label"].names == ["0", "1"]
    assert load(train=write("t.csv", rows_csv(40)))["test"].column_names == ["text", "label"]


def test_every_format_gives_the_same_rows(write):
    data = [{"text": f"ein schöner Text {i}", "label": "yes" if i % 3 else "no"} for i in range(40)]
    table = Dataset.from_list(data)
    parquet = write("t.parquet", b"x")
    table.to_parquet(parquet)
    files = [
        write("t.csv", "text,label\n" + "".join(f'"{r["text"]}",{r["label"]}\n' for r in data)),
        write("t.tsv", "label\ttext\n" + "".join(f"{r['label']}\t{r['text']}\n" for r in data)),
        write("t.jsonl", "".join(json.dumps(r) + "\n" for r in data)),
        write("t.json", json.dumps(data)),
        parquet,
    ]
    loaded = [load(train=path) for path in files]
    lines = write("t.all", "".join(f"{r['label']} {r['text']}\n" for r in data))
    loaded.append(load(train=lines, format="lines"))
    latin = write("l.csv", "".join(f"{r['label']},{r['text']}\n" for r in data), "latin-1")
    loaded.append(load(train=latin, encoding="latin-1", columns=["label", "text"]))
    for splits in loaded[1:]:
        assert {name: split.to_list() for name, split in splits.items()} == {
            name: split.to_list() for name, split in loaded[0].items()
        }


def test_strings_stay_what_they_are(write):
    path = write(
        "t.csv", "\ufefftext,label\n" + "".join(f"{t},{y}\n" for t in ("NA", "007", "null") for y in "01")
    )
    splits = load(train=path)
    assert set().union(*(texts(split) for split in splits.values())) == {"NA", "007", "null"}


@pytest.mark.parametrize("blank", ["\n", "\n\n", "  \n", "\r\n"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_blank_lines_are_left_out_wherever_they_stand(write, name, blank):
    lines = rows_csv(40).splitlines(keepends=True)
    spaced = blank.join(lines)
    separated = [text.replace(",", "\t") if name == "t.tsv" else text for text in (spaced, blank + spaced)]
    for content in separated:
        splits = load(train=write(name, content))
        assert sum(len(split) for split in splits.values()) == 40


def test_a_tsv_has_no_quoting_unless_asked(write):
    rows = ['"half a quote', 'a "quoted" word'] * 15
    content = "text\tlabel\n" + "".join(f"{text} {i}\t{i % 2}\n" for i, text in enumerate(rows))
    assert sum(map(len, load(train=write("t.tsv", content)).values())) == 30
    quoted = "text\tlabel\n" + "".join(f'"tab\there {i}"\t{i % 2}\n' for i in range(30))
    assert "tab\there 0" in set().union(
        *map(texts, load(train=write("q.tsv", quoted), quoting=True).values())
    )


def test_line_ends_inside_latin_1_texts_do_not_split_rows(write):
    content = b"".join(b"%d caf\xe9 \x85 number %d\n" % (i % 2, i) for i in range(30))
    splits = load(train=write("t.all", content), format="lines", encoding="latin-1")
    assert sum(map(len, splits.values())) == 30


def test_given_splits_are_kept_as_they_are(write):
    train, dev, test = write("a.csv", rows_csv(40)), write("b.csv", rows_csv(6)), write("c.csv", rows_csv(4))
    splits = load(train=train, dev=dev, test=test)
    assert splits["dev"]["text"][:] == [f"text {i}" for i in range(6)]
    assert splits["test"]["text"][:] == [f"text {i}" for i in range(4)]
    assert splits["train"]["text"][:] == [f"text {i}" for i in range(6, 40)]


def test_held_out_splits_are_the_same_for_every_seed(write):
    path = write("t.csv", rows_csv(400, 4))
    first, second = load(train=path, seed=0, train_size=100), load(train=path, seed=1, train_size=100)
    assert texts(first["test"]) == texts(second["test"])
    assert texts(first["dev"]) == texts(second["dev"])
    assert texts(first["train"]) != texts(second["train"])
    assert load(train=path, seed=1, train_size=100)["train"].to_list() == second["train"].to_list()
    assert [len(first[name]) for name in ("train", "dev", "test")] == [100, 40, 40]


def test_a_test_that_nobody_wants_takes_no_rows(write, caplog):
    path = write("a.csv", rows_csv(200))
    splits = load(train=path, dev_size=30, test_size=0)
    assert [len(splits[split]) for split in ("train", "dev", "test")] == [170, 30, 0]
    assert splits["test"].features == splits["train"].features
    tables = {
        split: RawTable({"text": [f"{split} {i}" for i in range(20)], "label": [i % 2 for i in range(20)]})
        for split in ("train", "dev", "test")
    }
    given = load_splits(CUSTOM, DataConfig(test_size=0), 0, tables)
    assert [len(given[split]) for split in ("train", "dev", "test")] == [20, 20, 0]
    assert not caplog.records


def test_sizes_are_as_asked_whether_held_out_or_given(write):
    path = write("t.csv", rows_csv(400))
    assert len(load(train=path, dev_size=30, test_size=50)["test"]) == 50
    splits = load(train=path, dev=write("d.csv", rows_csv(100)), dev_size=30)
    assert len(splits["dev"]) == 30
    assert sorted(splits["dev"]["label"]) == [0] * 15 + [1] * 15


def test_repeated_rows_are_never_in_two_splits(write):
    path = write("t.csv", rows_csv(60) + "".join(f"text {i},class {i % 2}\n" for i in range(60)))
    splits = load(train=path)
    assert sum(map(len, splits.values())) == 60


@pytest.mark.parametrize(
    "spell", [str.upper, lambda text: text.replace(" ", "  "), lambda t: t.replace("é", "e\u0301")]
)
@pytest.mark.parametrize("given", [True, False])
def test_texts_that_many_models_read_alike_stay_in_their_splits_and_are_told(write, caplog, spell, given):
    lines = rows_csv(60).replace("text ", "the café ").splitlines(keepends=True)[1:]
    again = [spell(line).replace("CLASS", "class").replace("class  ", "class ") for line in lines]
    if given:
        splits = load(
            train=write("a.csv", "text,label\n" + "".join(lines)),
            test=write("c.csv", "text,label\n" + "".join(again[:20])),
        )
    else:
        splits = load(train=write("t.csv", "text,label\n" + "".join(lines + again)))
    assert sum(map(len, splits.values())) == (80 if given else 120)
    (line,) = [message for message in caplog.messages if "case, spaces or Unicode's form" in message]
    train = len(splits["train"])
    assert re.search(rf"\d+ of {train} rows of train are so like rows of test", line)


def test_texts_that_differ_in_a_word_are_not_told(write, caplog):
    load(train=write("a.csv", rows_csv(60)), test=write("c.csv", rows_csv(60).replace("text ", "words ")))
    assert not caplog.records


def test_shots_per_class_for_train_and_dev(write):
    path = write("t.csv", rows_csv(200, 4))
    splits, other = load(train=path, shots_per_class=8, seed=13), load(train=path, shots_per_class=8, seed=21)
    for name in ("train", "dev"):
        assert sorted(splits[name]["label"]) == sorted([0, 1, 2, 3] * 8)
        assert texts(splits[name]) != texts(other[name])
    assert texts(splits["test"]) == texts(other["test"])


def test_shots_in_total_are_stratified_with_a_large_dev(write):
    path = write("t.csv", "text,label\n" + "".join(f"text {i},{int(i % 10 == 0)}\n" for i in range(2000)))
    splits = load(train=path, shots_total=50)
    assert sorted(splits["train"]["label"]) == [0] * 45 + [1] * 5
    assert [len(splits["dev"]), len(splits["test"])] == [1000, 200]
    assert len(load(train=path, shots_total=50, dev_size=70)["dev"]) == 70


LM_BFF_SEEDS = (13, 21, 42, 87, 100)


def test_sixteen_a_class_over_the_seeds_of_lm_bff(write):
    path = write("t.csv", rows_csv(600, 6))
    drawn = {seed: load(train=path, shots_per_class=16, seed=seed) for seed in LM_BFF_SEEDS}
    for seed, splits in drawn.items():
        for name in ("train", "dev"):
            assert sorted(splits[name]["label"]) == sorted(list(range(6)) * 16)
        assert not texts(splits["train"]) & texts(splits["dev"])
        assert not (texts(splits["train"]) | texts(splits["dev"])) & texts(splits["test"])
        again = load(train=path, shots_per_class=16, seed=seed)
        assert all(again[name].to_list() == rows.to_list() for name, rows in splits.items())
    assert len({frozenset(texts(splits["train"])) for splits in drawn.values()}) == len(LM_BFF_SEEDS)
    assert len({frozenset(texts(splits["test"])) for splits in drawn.values()}) == 1


def test_a_hundred_in_all_keep_the_shares_of_the_classes(write):
    counts = {"a": 1200, "b": 600, "c": 180, "d": 20}
    lines = [f"{name} {i},{name}" for name, count in counts.items() for i in range(count)]
    path = write("t.csv", "text,label\n" + "\n".join(lines))
    for seed in LM_BFF_SEEDS:
        splits = load(train=path, shots_total=100, seed=seed)
        taken = Counter(splits["train"]["label"])
        assert [taken[label] for label in range(4)] == [60, 30, 9, 1]
        shares = Counter(splits["dev"]["label"])
        assert [shares[label] for label in range(4)] == [600, 300, 90, 10]
        assert not texts(splits["train"]) & texts(splits["dev"])


def test_ready_splits_of_each_seed_may_lie_in_folders_with_one_test_beside_them(tmp_path):
    for seed in LM_BFF_SEEDS:
        folder = tmp_path / f"16-{seed}"
        folder.mkdir()
        for split in ("train", "dev"):
            rows = [f"{i % 2},{split} {seed} {i}" for i in range(8)]
            (folder / f"{split}.csv").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "test.csv").write_text("0,one\n1,two", encoding="utf-8")
    for seed in LM_BFF_SEEDS:
        splits = load(source=str(tmp_path / "16-{seed}"), columns=("label", "text"), seed=seed)
        assert texts(splits["train"]) == {f"train {seed} {i}" for i in range(8)}
        assert texts(splits["dev"]) == {f"dev {seed} {i}" for i in range(8)}
        assert texts(splits["test"]) == {"one", "two"}
    with pytest.raises(InputError, match="16-5' does not exist"):
        load(source=str(tmp_path / "16-{seed}"), seed=5)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 9)), min_size=60, max_size=120), st.data()
)
def test_splits_are_disjoint_stratified_and_deterministic(monkeypatch, rows, data):
    table = Dataset.from_list([{"text": f"{word}{n}", "label": n % 2} for word, n in rows])
    distinct = {f"{word}{n}" for word, n in rows}
    monkeypatch.setattr(loading, "read_tables", lambda *_: {"train": RawTable.of(table)})
    sizes = {"dev_size": data.draw(st.integers(1, 5)), "test_size": data.draw(st.integers(1, 5))}
    seed = data.draw(st.integers(0, 5))
    try:
        splits = load(seed=seed, **sizes)
    except InputError:
        assert len({n % 2 for _, n in rows}) < 2 or len(distinct) < 20
        return
    assert sum(map(len, splits.values())) == len(distinct)
    assert set().union(*map(texts, splits.values())) == distinct
    assert [len(splits["dev"]), len(splits["test"])] == list(sizes.values())
    assert all(s.to_list() == load(seed=seed, **sizes)[name].to_list() for name, s in splits.items())


def test_labels_are_names_or_indices_of_the_classes(write):
    task = get_task("custom", labels=["no", "yes"])
    content = "text,label\n" + "".join(f"text {i},{['no', '1', '0', 'yes'][i % 4]}\n" for i in range(40))
    splits = load(task, train=write("t.csv", content))
    numbers = {
        text: label
        for split in splits.values()
        for text, label in zip(split["text"], split["label"], strict=True)
    }
    assert all(label == int(int(text.split()[1]) % 4 in (1, 3)) for text, label in numbers.items())


def test_numeric_class_names_are_in_numeric_order(write):
    content = "text,label\n" + "".join(f"text {i},{[2, 10, 1][i % 3]}\n" for i in range(30))
    assert load(train=write("t.csv", content))["train"].features["label"].names == ["1", "2", "10"]


def test_a_hub_data_set_is_read_as_the_task_says(monkeypatch):
    names = ClassLabel(names=["objective", "subjective"])
    rows = {"text": [f"t{i}" for i in range(50)], "label": [i % 2 for i in range(50)]}
    table = Dataset.from_dict({**rows, "label_text": [names.int2str(y) for y in rows["label"]]})
    asked = []

    def fake(*name):
        asked.append(name)
        return DatasetDict({"train": table, "test": table.select(range(10))})

    monkeypatch.setattr(sources, "load_dataset", fake)
    splits = load(get_task("subj"))
    assert asked == [("SetFit/subj", None)]
    assert splits["test"].features["label"].names == ["subjective", "objective"]
    assert splits["test"]["label"][:] == [1, 0] * 5
    assert len(load(source="someone/data")["test"]) == 10


def test_a_folder_is_read_by_its_file_names(write, tmp_path):
    write("train.csv", rows_csv(40))
    write(
        "validation.jsonl",
        "".join(json.dumps({"text": f"d{i}", "label": f"class {i % 2}"}) + "\n" for i in range(4)),
    )
    splits = load(source=str(tmp_path))
    assert splits["dev"]["text"][:] == ["d0", "d1", "d2", "d3"]
    write("train.tsv", "text\tlabel\n")
    with pytest.raises(InputError, match=r"several files for train: train\.csv, train\.tsv"):
        load(source=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "beside"), [("mine[2024]", "mine2"), ("why?", "whyX"), ("all*", "all of them"), ("a::b", "a")]
)
@pytest.mark.parametrize("linked", [True, False])
def test_a_name_is_no_pattern(write, tmp_path, monkeypatch, name, beside, linked):
    if not linked:
        # as on a file system without links
        monkeypatch.setattr(Path, "symlink_to", Mock(side_effect=OSError))
    mine = [{"text": f"mine {i}", "label": i % 2} for i in range(40)]
    for folder, rows in ((name, mine), (beside, [{"text": "other", "label": 0}])):
        (tmp_path / folder).mkdir()
        for place in (f"{folder}/train", folder):
            write(f"{place}.csv", "text,label\n" + "".join(f"{r['text']},{r['label']}\n" for r in rows))
            # which takes a path as a pattern too
            with (tmp_path / f"{place}.parquet").open("wb") as stream:
                Dataset.from_list(rows).to_parquet(stream)
    expected = {row["text"] for row in mine}
    for ending in ("csv", "parquet"):
        assert set().union(*map(texts, load(train=tmp_path / f"{name}.{ending}").values())) == expected
    (tmp_path / name / "train.parquet").unlink()
    assert set().union(*map(texts, load(source=str(tmp_path / name)).values())) == expected


def test_files_are_read_where_temporary_ones_lie_in_a_folder_like_a_pattern(write, tmp_path, monkeypatch):
    (tmp_path / "t[1]").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t[1]"))
    assert sum(map(len, load(train=write("data.csv", rows_csv(40))).values())) == 40


def test_a_saved_data_set_whose_path_would_be_read_as_another_is_refused(tmp_path):
    for name in ("a", "a::b"):
        DatasetDict({"train": Dataset.from_dict({"text": [name]})}).save_to_disk(tmp_path / "saved")
        (tmp_path / "saved").rename(tmp_path / name)
    with pytest.raises(InputError, match=r"a::b' holds a data set .* path with '::'\. Rename the folder"):
        load(source=str(tmp_path / "a::b"))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("dataset_dict.json", lambda _: b"{"),
        ("dataset_dict.json", lambda _: b"{}"),
        ("test/state.json", None),
        ("train/dataset_info.json", lambda content: content[:20]),
        ("train/data-00000-of-00001.arrow", None),
        ("train/data-00000-of-00001.arrow", lambda _: b"xx"),
        ("train/data-00000-of-00001.arrow", lambda content: content[:-400]),
        # which is in the rows, and these are read when they are used
        ("train/data-00000-of-00001.arrow", lambda content: content.replace(b"text 7", b"text\xff7")),
    ],
)
def test_a_damaged_saved_data_set_is_refused(tmp_path, name, damage):
    table = Dataset.from_list([{"text": f"text {i}", "label": i % 2} for i in range(40)])
    DatasetDict({"train": table, "test": table}).save_to_disk(tmp_path / "saved")
    file = tmp_path / "saved" / name
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    said = r"saved' holds a data set .* cannot be read \(.+\)\. Where .*copy the whole folder again"
    with pytest.raises(InputError, match=said):
        load(source=str(tmp_path / "saved"))


def test_a_saved_data_set_is_read(tmp_path):
    table = Dataset.from_list([{"text": f"text {i}", "label": i % 2} for i in range(40)])
    DatasetDict({"train": table}).save_to_disk(tmp_path / "saved")
    assert len(load(source=str(tmp_path / "saved"))["train"]) == 32


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, r"t\.csv is empty"),
        ("text,label\n", {}, "has a header but no rows"),
        ("text,label\na,b,c\n", {}, "first row of .* has 3 fields, but there are 2 columns: text, label"),
        ("text,label\na,b\na,b,c\n", {}, "Cannot read .*as csv: .*Expected 2 fields in line 3"),
        (
            "sentence,label\na,0\nb,1\n",
            {},
            r"Unknown column 'text'\..*Allowed: label, sentence\..*task\.text",
        ),
        ("texts,label\na,0\nb,1\n", {}, "Unknown column 'text'. Did you mean 'texts'"),
        ("text,label\na,0\nb,0\n", {}, "one class only: '0' in column 'label'"),
        ("text,label\na,0\n ,1\n", {}, "text column 'text' of train is empty in row 2"),
        ("text,label\na,0\nb,\n", {}, "label column 'label' of train is empty in row 2"),
        (b"text,label\na,0\ncaf\xe9,1\n", {}, r"t\.csv is not utf-8: byte 0xe9 at offset 18.*data\.encoding"),
        (rows_csv(20), {"shots_per_class": 9}, "shots_per_class is 9, but class 'class 0' has only"),
        (rows_csv(20, 4), {"shots_total": 3}, "shots_total is 3, but must be at least 4, one row a class"),
        (rows_csv(20), {"shots_total": 19}, "No rows are left for data.dev_size"),
        (rows_csv(20), {"train_size": 100}, "train_size cannot be met. 100 rows are wanted, but only"),
        (rows_csv(20), {"dev_size": 100}, r"dev_size cannot be met\..* different and in no other split"),
        (rows_csv(20), {"format": "json"}, "Cannot read .*as json: .*Check data.format"),
    ],
)
def test_bad_files_get_one_clear_error(write, content, options, message):
    with pytest.raises(InputError, match=message):
        load(train=write("t.csv", content), **options)


@pytest.mark.parametrize("header", ["text,label", "label,text", " Text,LABEL"])
def test_columns_for_a_file_that_has_a_header_are_refused(write, header):
    path = write("t.csv", rows_csv(40).replace("text,label", header))
    with pytest.raises(
        InputError, match=f"The first row of .* is a header: {header.replace(',', ', ')}.* leave it out"
    ):
        load(train=path, columns=("text", "label"))


def test_columns_of_one_name_are_refused_with_what_to_do(write):
    for header, options in (("text,label,text", {}), ("a,b,c", {"columns": ("text", "label", "text")})):
        path = write("t.csv", f"{header}\na b,1,c\nd e,0,f\n")
        with pytest.raises(InputError, match=r"t\.csv has several columns of the name 'text'.* Rename or"):
            load(train=path, **options)


@pytest.mark.parametrize("options", [{}, {"format": "csv", "encoding": "latin-1"}])
def test_a_packed_file_is_no_table_in_any_encoding(write, options):
    packed = write("t.csv.gz", gzip.compress(b"text,label\na,0\nb,1\n"))
    with pytest.raises(InputError, match=r"t\.csv\.gz is a gzip file\. Unpack it, or save its table as CSV"):
        load(train=packed, **options)
    book = write("t.xlsx", b"PK\x03\x04 and so on")
    with pytest.raises(InputError, match=r"t\.xlsx is a ZIP archive, as Excel's files are too\. Unpack it"):
        load(train=book, **options)


def test_the_offset_of_a_bad_byte_is_right_beyond_a_block(write):
    content = b"text,label\n" + b"\xc3\xa4" * (1 << 19) + b"\xff,0\n"
    with pytest.raises(InputError, match=f"byte 0xff at offset {content.index(255)}"):
        load(train=write("t.csv", content))


def test_labels_outside_the_training_data_are_shown_with_their_rows(write):
    train, dev = write("t.csv", rows_csv(20)), write("d.csv", "text,label\na,class 0\nb,other\nc,-1\n")
    with pytest.raises(InputError, match=r"'other', '-1' of dev.*not in the training data \(2 rows: 2, 3\)"):
        load(train=train, dev=dev)
    named = get_task("custom", labels=["class 0", "class 1", "other"])
    with pytest.raises(InputError, match=r"Label '-1' of dev.*not a class of task 'custom' \(row 3\)"):
        load(named, train=train, dev=dev)
    dev = write("d.csv", "text,label\na,class 0\nb,other\n")
    with pytest.raises(InputError, match=r"Label 'other' of dev is not in the training data \(row 2\)"):
        load(named, train=train, dev=dev)


def test_a_class_that_loses_its_rows_to_test_is_refused(write):
    train = write("t.csv", rows_csv(20) + "rare,class 2\n")
    with pytest.raises(InputError, match="Class 'class 2' is in test, but no training row of it is left"):
        load(train=train, test=write("e.csv", "text,label\nrare,class 2\nx,class 0\n"))


def test_label_words_must_fit_the_classes_found(write):
    task = get_task("custom", label_words=["a", "b", "c"])
    with pytest.raises(InputError, match="has 3 label_words, but train has 2 classes: class 0, class 1"):
        load(task, train=write("t.csv", rows_csv(20)))


def test_missing_files_and_sources_are_named(tmp_path, write):
    with pytest.raises(InputError, match=r"nope\.csv does not exist"):
        load(train=tmp_path / "nope.csv")
    with pytest.raises(InputError, match=r"ending '.txt'.*csv, tsv, json, parquet or lines"):
        load(train=write("t.txt", "x"))
    with pytest.raises(InputError, match=r"no data set of its own. Set data.train"):
        load()
    with pytest.raises(InputError, match=r"'./nope' does not exist"):
        load(source="./nope")
    with pytest.raises(InputError, match=r"Cannot load the hub data set 'nobody/nothing'.*network"):
        load(source="nobody/nothing")
    with pytest.raises(InputError, match="is one JSON object with 2 keys"):
        load(train=write("t.json", '{"0": {"text": "a"}, "1": {"text": "b"}}'))
    with pytest.raises(InputError, match=r"Line 2 of .* is 'alone'"):
        load(train=write("t.all", "0 a\nalone\n"), format="lines")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots_per_class": 4, "shots_total": 8}, "shots_per_class = 4 and shots_total = 8 each say"),
        ({"shots_total": 8, "train_size": 9}, "shots_total = 8 and train_size = 9"),
        ({"shots_per_class": 4, "dev_size": 8}, "dev_size is 8, but shots_per_class = 4"),
        ({"source": "trec", "train": "a.csv"}, "set only one of them"),
        ({"dev": "a.csv"}, "train is not set"),
        ({"encoding": "utf8000"}, "unknown encoding 'utf8000'"),
        ({"train_size": 0}, "greater than 0"),
        ({"train": "a.csv", "test": "b.csv", "test_size": 0}, "test_size is 0, but test is a file"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        DataConfig(**options)


def test_every_option_is_described():
    assert all(field.description for field in DataConfig.model_fields.values())


@pytest.mark.slow
def test_the_embedded_questions():
    splits = load(get_task("trec"))
    assert [len(splits[name]) for name in ("train", "dev", "test")] == [4381, 500, 500]
    assert splits["train"].features["label"].names == ["DESC", "ENTY", "ABBR", "HUM", "LOC", "NUM"]


@pytest.mark.slow
def test_the_embedded_messages_have_the_rows_that_open_quotes_swallowed(caplog):
    messages = sources.read_tables(CUSTOM, DataConfig(source="sms-spam"))["train"].columns
    assert Counter(messages["label"]) == {"ham": 4827, "spam": 747}
    assert max(map(len, messages["text"])) < 1000
    # without repeats
    assert sum(map(len, load(source="sms-spam").values())) > 5000
    assert caplog.text == ""


@pytest.mark.parametrize(("labels", "said"), [("12", True), ("bc", False)])
def test_positions_that_may_count_from_1_are_told(write, caplog, labels, said):
    lines = [f"text {row},{labels[row % 2]}" for row in range(8)]
    path = write("d.csv", "\n".join(["text,label", *lines]))
    load_splits(get_task("custom", labels=("a", "b", "c")), DataConfig(train=path), 0)
    assert "no training row has the label 'a'" in caplog.text
    assert ("read as positions in task.labels, from 0" in caplog.text) == said

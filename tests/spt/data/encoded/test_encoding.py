"""Encoding: templates, cutting, label words, with small tokenizers built here."""

import logging

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from spt.assets import backbone_path
from spt.data.encoded.encoding import encode, encode_texts
from spt.data.encoded.label_words import label_word_ids
from spt.errors import InputError
from spt.tasks import TASKS, get_task
from tests.support.tiny import text_spec

WORDS = [*"abcde?.,:[]", "it", "was", "great", "terrible", "mask", "yes", "no"]
SINGLE, PAIR, TREC = get_task("sst2"), get_task("rte"), get_task("trec")


@pytest.fixture
def bert():
    """A WordPiece tokenizer with BERT's special tokens."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: index for index, word in enumerate(special + WORDS)}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    core.decoder = decoders.WordPiece()
    names = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{name}_token": special[index] for name, index in names.items()},
    )


@pytest.fixture
def gpt():
    """A byte-level BPE tokenizer without mask and padding tokens, with two words merged behind a space."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate(["<end>", *alphabet])}
    merges = []
    for word in ("Ġyes", "Ġno", "Ġbad"):
        for end in range(2, len(word) + 1):
            merge = (word[: end - 1], word[end - 1])
            if "".join(merge) not in vocabulary:
                vocabulary["".join(merge)] = len(vocabulary)
                merges.append(merge)
    core = Tokenizer(models.BPE(vocabulary, merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<end>",
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
    )


def read(tokenizer, example):
    """The tokens of an example, with spaces between."""
    return " ".join(tokenizer.convert_ids_to_tokens(example["input_ids"]))


def one(tokenizer, task, *texts, max_length=32, template=True):
    """The only example of one row."""
    text, pair = (*texts, None)[:2]
    pairs = None if pair is None else [pair]
    return encode_texts([text], pairs, tokenizer, text_spec(task, max_length, template))[0]


def test_rows_carry_their_label_and_number(bert):
    split = Dataset.from_dict({"text": ["a", "b c"], "label": [1, 0]})
    first, second = encode(split, bert, text_spec(SINGLE, 32, template=False))
    assert first == {"input_ids": [2, 5, 3], "token_type_ids": [0, 0, 0], "label": 1, "row": 0}
    assert [second["label"], second["row"], read(bert, second)] == [0, 1, "[CLS] b c [SEP]"]


def test_a_pair_without_template_has_two_types(bert):
    example = one(bert, PAIR, "a b", "c", template=False)
    assert read(bert, example) == "[CLS] a b [SEP] c [SEP]"
    assert example["token_type_ids"] == [0, 0, 0, 0, 1, 1]


def test_a_text_of_just_the_longest_length_is_whole(bert):
    examples = encode_texts(["a b", "a b c"], None, bert, text_spec(SINGLE, 4, template=False))
    assert [read(bert, example) for example in examples] == ["[CLS] a b [SEP]"] * 2
    assert examples.is_cut.tolist() == [False, True]


def test_templates_are_filled_around_the_mask(bert):
    assert read(bert, one(bert, SINGLE, "a b")) == "[CLS] a b . it was [MASK] . [SEP]"
    assert read(bert, one(bert, PAIR, "a", "b")) == "[CLS] a ? [MASK] , b [SEP]"
    assert read(bert, one(bert, TREC, "a")) == "[CLS] [MASK] : a [SEP]"


def test_a_causal_model_reads_up_to_the_label_word(gpt):
    assert gpt.decode(one(gpt, SINGLE, "a b")["input_ids"]) == "a b . It was"
    assert gpt.decode(one(gpt, TREC, "a b")["input_ids"]) == "a b Type :"
    text = gpt.decode(one(gpt, PAIR, "a", "b", max_length=100)["input_ids"])
    assert text == "a Therefore , b ?"
    assert "token_type_ids" not in one(gpt, SINGLE, "a")


@pytest.mark.parametrize("length", [9, 12, 20])
def test_only_the_text_is_cut(bert, length, caplog):
    with caplog.at_level(logging.WARNING):
        tokens = read(bert, one(bert, SINGLE, "a b c d " * 10, max_length=length))
    text = ("a b c d " * 10)[: 2 * (length - 7)]
    assert tokens == f"[CLS] {text}. it was [MASK] . [SEP]"
    assert f"1 of 1 texts are longer than {length} tokens and were cut" in caplog.text


def test_the_longer_text_of_a_pair_is_cut_first(bert):
    example = one(bert, PAIR, "a b c d e " * 4, "e d c", max_length=12)
    assert read(bert, example) == "[CLS] a b c d ? [MASK] , e d c [SEP]"
    plain = one(bert, PAIR, "a b c d e " * 4, "e d c", max_length=10, template=False)
    assert read(bert, plain) == "[CLS] a b c d [SEP] e d c [SEP]"


def test_a_causal_template_is_never_cut(gpt):
    example = one(gpt, SINGLE, "x" * 300, max_length=20)
    assert gpt.decode(example["input_ids"]) == "x" * 11 + " . It was"


def test_a_text_cannot_bring_its_own_mask_or_placeholder(bert):
    tokens = read(bert, one(bert, SINGLE, "a [MASK] b"))
    assert tokens == "[CLS] a [ mask ] b . it was [MASK] . [SEP]"
    assert (
        read(bert, one(bert, PAIR, "{text_pair}", "{mask} a"))
        == "[CLS]" + " [UNK]" * 5 + " ? [MASK] , [UNK] mask [UNK] a [SEP]"
    )


def test_nothing_is_said_where_nothing_is_cut(bert, caplog):
    one(bert, SINGLE, "a")
    assert caplog.text == ""


def test_more_than_the_backbone_reads_is_refused(bert):
    with pytest.raises(InputError, match=r"max_length is 65, but this backbone reads at most 64 tokens"):
        one(bert, SINGLE, "a", max_length=65)


def test_no_room_for_a_text_is_refused(bert):
    with pytest.raises(InputError, match=r"max_length is 7, but the template .* leaves no room"):
        one(bert, SINGLE, "a b", max_length=7)


def test_a_length_that_special_tokens_fill_is_refused(bert, gpt):
    for task, texts, special in ((SINGLE, ("a b",), 2), (PAIR, ("a b", "b a"), 3)):
        for length in range(1, special + 1):
            with pytest.raises(
                InputError, match=rf"is {length}, but .* {special} special.* to {special + 1} or"
            ):
                one(bert, task, *texts, max_length=length, template=False)
        tokens = read(bert, one(bert, task, *texts, max_length=special + 1, template=False))
        assert tokens.replace("[CLS]", "").replace("[SEP]", "").strip() in ("a", "b")
    assert len(one(gpt, SINGLE, "a b", max_length=1, template=False)["input_ids"]) == 1


def test_texts_must_fit_the_task(bert):
    with pytest.raises(InputError, match="Task 'rte' needs two texts a row, but got 1 texts and 0 second"):
        one(bert, PAIR, "a")
    with pytest.raises(InputError, match="Task 'sst2' needs one text a row, but got 1 texts and 1 second"):
        one(bert, SINGLE, "a", "b")
    with pytest.raises(InputError, match="got 2 texts and 1 second"):
        encode_texts(["a", "b"], ["c"], bert, text_spec(PAIR, 32, True))


def test_a_text_without_any_token_is_refused():
    core = Tokenizer(models.WordPiece({"a": 0}, unk_token="a"))
    core.normalizer = normalizers.Strip()
    core.pre_tokenizer = pre_tokenizers.Split("\u200b", "removed")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=64)
    for numbers, rows in ((None, "2 rows: 2, 3"), ([0, 6, 8], "2 rows: 7, 9")):
        with pytest.raises(InputError, match=f"has no token that this backbone knows in {rows}"):
            encode_texts(["a", "\u200b", "\u200b"], None, tokenizer, text_spec(SINGLE, 32, False), numbers)


def test_texts_are_read_as_training_reads_them(gpt):
    """GPT-2's tokens hold the space before a word: a text with spaces around it had others in prediction."""
    spaced = [" a b", "a b  ", "\ta b\n", "\u00a0a b"]
    split = Dataset.from_dict({"text": ["a b"] * len(spaced), "label": [0] * len(spaced)})
    trained = encode(split, gpt, text_spec(SINGLE, 32, template=False))
    predicted = encode_texts(spaced, None, gpt, text_spec(SINGLE, 32, template=False))
    assert [one["input_ids"] for one in predicted] == [one["input_ids"] for one in trained]


def test_the_second_texts_are_read_so_too(bert, gpt):
    for tokenizer in (bert, gpt):
        (spaced,) = encode_texts(["a"], [" b "], tokenizer, text_spec(PAIR, 64, False))
        assert spaced == one(tokenizer, PAIR, "a", "b", max_length=64, template=False)


@pytest.mark.parametrize(
    "texts",
    ["b c", ("b c",), np.array(["b c"]), np.array("b c"), pd.Series(["b c"], index=[7]), iter(["b c"])],
    ids=lambda value: type(value).__name__,
)
def test_one_text_an_array_and_a_series_are_read_like_a_list(bert, texts):
    (example,) = encode_texts(texts, None, bert, text_spec(SINGLE, 32, False))
    assert read(bert, example) == "[CLS] b c [SEP]"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", None, "b", float("nan")], "is empty in 2 rows: 2, 4"),
        (pd.Series(["a", pd.NA, pd.NaT]), "is empty in 2 rows: 2, 3"),
        (["a", " \u2003 ", ""], "is empty in 2 rows: 2, 3"),
        (["a", 3, 4.5, True], r"type int, .*float, .*bool in 3 rows: 2, 3, 4, but must hold one text a row"),
        ([b"a", ["a", "b"], {"text": "a"}], "type bytes, .*list, .*dict in 3 rows: 1, 2, 3"),
        (np.array([["a", "b"]]), "type list in row 1"),
        (["a"] * 7 + [None] * 7, r"is empty in 7 rows: 8, 9, 10, 11, 12, 13, 14"),
        (["a", "\ud83d"], "half of a surrogate pair in row 2"),
        ({"a": "b"}, "list of texts is of type dict, but must be a list, an array or a Series"),
        ({"a"}, "is of type set"),
        (b"a", "is of type bytes"),
        (None, "is of type NoneType|list of second texts is empty in row 1"),
        (5, "is of type int"),
        (pd.DataFrame({"text": ["a"]}), "is of type DataFrame"),
    ],
    ids=str,
)
def test_what_is_no_text_is_refused_by_row(bert, texts, message):
    with pytest.raises(InputError, match=message):
        encode_texts(texts, None, bert, text_spec(SINGLE, 32, False))
    firsts = ["a"] * (len(texts) if hasattr(texts, "__len__") else 1)
    with pytest.raises(InputError, match=message.replace("list of texts", "list of second texts")):
        encode_texts(firsts, [None] if texts is None else texts, bert, text_spec(PAIR, 64, False))


def test_label_words_are_single_tokens_behind_a_space(bert, gpt):
    assert bert.convert_ids_to_tokens(label_word_ids(bert, ["terrible", "great"])) == ["terrible", "great"]
    assert gpt.convert_ids_to_tokens(label_word_ids(gpt, ["yes", "no"])) == ["Ġyes", "Ġno"]


def test_label_words_of_a_tokenizer_that_adds_the_space_itself():
    vocabulary = {"<unk>": 0, "▁": 1, "▁great": 2, "▁▁": 3, "great": 4}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")
    assert label_word_ids(tokenizer, ["great"]) == [2]


def test_bad_label_words_are_refused(bert, gpt):
    with pytest.raises(InputError, match=r"'worst' must be one token .* is 6: 'Ġ', 'w', 'o', 'r', 's', 't'"):
        label_word_ids(gpt, ["yes", "worst"])
    with pytest.raises(InputError, match=r"'unheard' is not in this backbone's vocabulary"):
        label_word_ids(bert, ["great", "unheard"])
    with pytest.raises(InputError, match="'great' and 'Great' of classes 0 and 2 are the same token"):
        label_word_ids(bert, ["great", "terrible", "Great"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["minilm-l6", "splade-tiny"])
def test_every_task_works_on_the_embedded_tokenizers(name):
    tokenizer = AutoTokenizer.from_pretrained(backbone_path(name))
    for task in TASKS.values():
        if task.label_words:
            assert len(label_word_ids(tokenizer, task.label_words)) == len(task.label_words)
        texts = ["word " * 300, "another sentence " * 200][: 2 if task.text_pair else 1]
        example = one(tokenizer, task, *texts, max_length=64)
        assert len(example["input_ids"]) == 64
        assert example["input_ids"].count(tokenizer.mask_token_id) == 1

"""Label words -> token ids for the verbalizer head."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from spt.errors import InputError

# how SentencePiece writes the space before a word
WORD_START = "▁"


def label_word_ids(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> list[int]:
    """Return the token id of each class's label word, as it stands inside a sentence.

    Args:
        tokenizer: the backbone's tokenizer.
        words: one word a class, in class order.

    Returns:
        Token ids, [C].

    Raises:
        InputError: a word is unknown or several tokens, or two classes share a token.

    Source: LPT's code (' ' + word, one token).
    """
    ids = [_single_token(tokenizer, word) for word in words]
    for position, token in enumerate(ids):
        first = ids.index(token)
        if first != position:
            raise InputError(
                f"The label words '{words[first]}' and '{words[position]}' of classes {first} and {position} "
                "are the same token. Give each class a word of its own in task.label_words."
            )
    return ids


def label_sequences(tokenizer: PreTrainedTokenizerBase, labels: Sequence[str]) -> list[list[int]]:
    """Return the tokens of each class's label, of any number, and the end: what a decoder is to write.

    Raises:
        InputError: if the tokenizer has no end token, a label is unknown, or two have the same tokens.
    """
    if tokenizer.eos_token_id is None:
        raise InputError("This backbone's tokenizer has no end token. Use head.kind classification.")
    sequences = [[*_tokens(tokenizer, label), int(tokenizer.eos_token_id)] for label in labels]
    for position, tokens in enumerate(sequences):
        if tokenizer.unk_token_id in tokens:
            raise InputError(
                f"The label '{labels[position]}' has tokens that this backbone does not know. "
                "Choose another word in task.label_words."
            )
        first = sequences.index(tokens)
        if first != position:
            raise InputError(
                f"The labels '{labels[first]}' and '{labels[position]}' are the same tokens for this "
                "backbone. Give each class words of its own in task.label_words."
            )
    return sequences


def _single_token(tokenizer: PreTrainedTokenizerBase, word: str) -> int:
    ids = _tokens(tokenizer, " " + word)
    if len(ids) != 1:
        bare = _tokens(tokenizer, word)
        # some SentencePiece tokenizers add the space themselves and would see two in ' ' + word
        if len(bare) == 1 and str(tokenizer.convert_ids_to_tokens(bare[0])).startswith(WORD_START):
            ids = bare
    if len(ids) != 1:
        pieces = ", ".join(f"'{piece}'" for piece in tokenizer.convert_ids_to_tokens(ids))
        raise InputError(
            f"The label word '{word}' must be one token of this backbone, but is {len(ids)}: {pieces}. "
            "Choose another word in task.label_words, or use a classification head."
        )
    if ids[0] == tokenizer.unk_token_id:
        raise InputError(
            f"The label word '{word}' is not in this backbone's vocabulary. "
            "Choose another word in task.label_words, or use a classification head."
        )
    return ids[0]


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])

import pytest

from tunewright.core.errors import MachineError
from tunewright.data.wordnet import WordNet

# (lemma, part of speech, synsets with the uses of each); written as WordNet's own files are (wndb(5WN)).
SYNSETS = {
    "noun": [("film", "movie", "motion_picture"), ("city", "metropolis"), ("city", "town"), ("cinema", "film")],
    "verb": [("buy", "purchase"), ("film", "shoot")],
    "adj": [("happy", "glad(p)"), ("Happy", "lucky")],
    "adv": [("quickly", "fast")],
}
USES = {
    "film%1": (1, 20), "movie%1": (1, 9), "city%1": (1, 30), "town%1": (1, 5), "buy%2": (1, 7), "purchase%2": (1, 3),
    "film%2": (1, 1), "happy%3": (1, 9), "glad%3": (1, 4), "fast%4": (1, 4), "quickly%4": (1, 5), "shoot%2": (1, 9),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    licence = "  1 This software and database is being provided to you  \n"
    for pos, synsets in SYNSETS.items():
        data, index = licence, {}
        for words in synsets:
            offset = len(data.encode())
            listed = " ".join(f"{word} 0" for word in words)
            data += f"{offset:08d} 00 n {len(words):02x} {listed} 000 | a gloss with words\n"
            for word in words:
                index.setdefault(word.partition("(")[0].lower(), []).append(f"{offset:08d}")
        lines = sorted(f"{word} n {len(at)} 0 {len(at)} 0 {' '.join(at)}  \n" for word, at in index.items())
        (tmp_path / f"data.{pos}").write_text(data)
        (tmp_path / f"index.{pos}").write_text(licence + "".join(lines))
    uses = [f"{key}:00:00:: {sense} {count}\n" for key, (sense, count) in USES.items()]
    (tmp_path / "cntlist.rev").write_text("".join(uses))
    return tmp_path


def test_synonyms_share_a_synset_in_the_sense_that_is_mostly_meant(folder):
    wordnet = WordNet(str(folder))
    assert wordnet.synonyms("film") == ("movie",)  # and not "shoot": one use in 21 is as a verb
    assert wordnet.synonyms("buy") == ("purchase",)
    assert wordnet.synonyms("happy") == ("glad",)
    assert wordnet.synonyms("quickly") == ("fast",)


def test_words_nobody_used_names_and_several_words_are_no_synonyms(folder):
    wordnet = WordNet(str(folder))
    assert wordnet.synonyms("city") == ()  # metropolis is in no tagged text
    assert wordnet.synonyms("movie") == ("film",)  # and not motion_picture


def test_a_plural_gives_plurals_and_function_words_nothing(folder):
    wordnet = WordNet(str(folder))
    assert wordnet.synonyms("films") == ("movies",)
    assert wordnet.synonyms("can") == () == wordnet.synonyms("unheard")


def test_a_missing_wordnet_is_told_with_what_to_install(tmp_path, monkeypatch):
    with pytest.raises(MachineError, match=r"WordNet, which is not in .*no index.noun.*apt install wordnet-base"):
        WordNet(str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path))
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: False)
    with pytest.raises(MachineError, match="was not found on this machine"):
        WordNet("auto")


def test_a_folder_that_lacks_a_file_is_told(folder):
    (folder / "cntlist.rev").unlink()
    with pytest.raises(MachineError, match=r"cntlist\.rev cannot be read"):
        WordNet(str(folder))


def test_it_is_found_where_its_own_programs_look(folder, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(folder))
    assert WordNet("auto").synonyms("film") == ("movie",)

"""Archives that are cut short, lie about their size, or carry what is never loaded."""

import json
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from klimit import DataError
from klimit.rollouts import read
from klimit.rollouts.formats import archive, inflated
from klimit.rollouts.formats.zstd import largest, longer_than, unpack

GOLDEN = Path(__file__).parents[2] / "golden" / "inspect"
HEADER = {"version": 2, "status": "success", "eval": {"task": "t", "model": "m"}}


def sample(at, epoch=1, **more):
    return {"id": at, "epoch": epoch, "input": f"q{at}", "target": "x", "uuid": f"u{at}-{epoch}",
            "scores": {"match": {"value": "CI"[epoch % 2]}}, "model_usage": {}, **more}  # fmt: skip


SAMPLES = [sample(at, epoch) for at in range(2) for epoch in (1, 2)]


@pytest.fixture
def log(tmp_path):
    """An Inspect log of these members."""

    def write(name="log.eval", **members):
        members = members or {"header.json": HEADER, "summaries.json": SAMPLES}
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            for member, content in members.items():
                text = content if isinstance(content, str | bytes) else json.dumps(content)
                made.writestr(member, text)
        return path

    return write


def refused(path, *words):
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert message.isprintable()
    assert all(word in message for word in words), message


def test_a_log_is_read_without_its_transcripts(log, as_dict):
    path = log(**{"header.json": HEADER, "summaries.json": SAMPLES, "samples/0_epoch_1.json": "{"})
    assert as_dict(read(path), "match") == {"t/0": [0.0, 1.0], "t/1": [0.0, 1.0]}


def test_a_log_that_was_cut_off_is_read_from_its_journal(log):
    path = log(
        **{
            "_journal/start.json": {"eval": HEADER["eval"]},
            "_journal/summaries/10.json": SAMPLES[2:],
            "_journal/summaries/9.json": SAMPLES[:2],
        }
    )
    with pytest.warns(match="did not finish"):
        base = read(path)
    assert base.ids == ["t/0", "t/1"]


def test_an_old_log_without_summaries_is_read_from_its_samples(log):
    members = {f"samples/{x['id']}_epoch_{x['epoch']}.json": x for x in SAMPLES}
    assert len(read(log(**{"header.json": HEADER}, **members))) == 4


def test_a_log_written_as_json_reads_the_same(tmp_path, log):
    path = tmp_path / "log.json"
    path.write_text(json.dumps({**HEADER, "samples": SAMPLES}))
    one, other = read(path).frame(), read(log()).frame()
    assert one.select("prompt_id", "match").equals(other.select("prompt_id", "match"))


def test_a_retried_log_repeats_no_sample(log, tmp_path):
    log("first.eval", **{"header.json": HEADER, "summaries.json": SAMPLES[:3]})
    log("retry.eval", **{"header.json": HEADER, "summaries.json": SAMPLES})
    assert len(read(tmp_path)) == 4


def test_logs_of_two_models_are_two_policies(log, tmp_path):
    log("one.eval")
    other = {**HEADER, "eval": {"task": "t", "model": "n"}}
    theirs = [sample(at, epoch, uuid=f"v{at}-{epoch}") for at in range(2) for epoch in (1, 2)]
    log("two.eval", **{"header.json": other, "summaries.json": theirs})
    assert read(tmp_path).policies == ("m", "n")


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("name", ["zstd.eval", "deflate.eval"])
def test_an_archive_that_is_cut_short_says_so(tmp_path, name, keep):
    whole = (GOLDEN / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(keep * len(whole))])
    refused(path, "cut short or damaged")


def directory_entry(data, name):
    """Where the central directory's entry of a member begins."""
    at = data.rindex(name.encode())
    return data.rindex(b"PK\x01\x02", 0, at)


@pytest.mark.parametrize(("size", "words"), [(1 << 31, "declares"), (10, "does not|is not")])
def test_a_member_that_lies_about_its_size_is_refused(log, size, words):
    path = log()
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, directory_entry(data, "summaries.json") + 24, size)
    path.write_bytes(data)
    with pytest.raises(DataError, match=words):
        read(path)


def test_a_deflated_bomb_stops_at_what_it_declares(log):
    path = log(**{"header.json": HEADER, "summaries.json": b"[" + b" " * (1 << 26) + b"]"})
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, directory_entry(data, "summaries.json") + 24, 1000)
    path.write_bytes(data)
    refused(path, "is not the 1,000 bytes that it declares")


def bomb(size):
    """A zstd frame of few bytes that unpacks to so many: every block repeats one byte."""
    block = (1 << 17 << 3 | 1 << 1).to_bytes(3, "little") + b" "
    last = (1 << 17 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b" "
    return b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x38]) + block * (size // (1 << 17) - 1) + last


def test_a_zstd_bomb_is_measured_before_it_is_unpacked(tmp_path, log, monkeypatch):
    packed = bomb(1 << 22)
    assert len(packed) < 200
    assert largest(packed) == 1 << 22 == len(unpack(packed))
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("header.json", json.dumps(HEADER))
        made.writestr("summaries.json", packed)
    data = bytearray(path.read_bytes())
    entry = directory_entry(data, "summaries.json")
    struct.pack_into("<H", data, entry + 10, 93)
    struct.pack_into("<L", data, entry + 24, 1000)
    path.write_bytes(data)
    monkeypatch.setattr(archive, "MOST", 1 << 20)
    refused(path, "may unpack to more than 1,048,576 bytes")


def test_many_members_that_unpack_to_too_much_together_are_refused(log, monkeypatch):
    members = {f"samples/{at}_epoch_1.json": sample(at) for at in range(20)}
    path = log(**{"header.json": HEADER}, **members)
    monkeypatch.setattr(archive, "IN_ALL", 1 << 11)
    refused(path, "one of too many")


@pytest.mark.parametrize("cut", [5, 20, -1])
def test_a_broken_zstd_stream_has_no_size(cut):
    with pytest.raises(ValueError, match="zstd"):
        largest(bomb(1 << 20)[:cut] + b"\x00\x00\x00")


@pytest.mark.parametrize("name", ["bomb.jsonl.zst", "bomb.jsonl.gz"])
def test_a_compressed_file_larger_than_memory_is_refused(tmp_path, name, monkeypatch):
    import gzip

    path = tmp_path / name
    path.write_bytes(bomb(1 << 24) if name.endswith("zst") else gzip.compress(b" " * (1 << 24)))
    monkeypatch.setattr(inflated, "memory", lambda: 1 << 22)
    refused(path, "unpack to more than 0.0 GB, the memory of this machine")


@pytest.mark.parametrize("name", ["bomb.jsonl.zst", "bomb.jsonl.gz"])
def test_a_compressed_file_that_fits_into_memory_and_holds_nothing_is_refused(
    tmp_path, name, monkeypatch
):
    import gzip

    path = tmp_path / name
    path.write_bytes(bomb(1 << 24) if name.endswith("zst") else gzip.compress(b" " * (1 << 24)))
    monkeypatch.setattr(inflated, "_SMALL", 1 << 20)
    refused(path, "hundreds of times their size")


def test_a_stream_that_is_broken_is_not_called_too_large(tmp_path):
    path = tmp_path / "broken.zst"
    path.write_bytes(bomb(1 << 20)[:9] + b"zz")
    with path.open("rb") as file:
        assert not longer_than(file, 1 << 30)


@pytest.mark.parametrize("name", ["../../evil.json", "/etc/evil.json", "a/../../evil", "..\\evil"])
def test_a_member_that_points_outside_is_refused_and_nothing_is_written(log, tmp_path, name):
    path = log(**{"header.json": HEADER, "summaries.json": SAMPLES, name: "{}"})
    refused(path, "points outside")
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_there_twice_is_refused(log):
    path = log()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as made:
        made.writestr("summaries.json", "[]")
    refused(path, "summaries.json twice")


def test_a_damaged_member_fails_its_checksum(log):
    text = json.dumps(SAMPLES).encode()
    path = log()
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, directory_entry(data, "summaries.json") + 16, zlib.crc32(text) ^ 1)
    path.write_bytes(data)
    refused(path, "fails its checksum")


def test_a_pickle_called_a_log_is_not_loaded(log, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "pwned",))

    refused(log(**{"archive/data.pkl": pickle.dumps(Evil())}), "header.json is missing")
    (tmp_path / "plain.eval").write_bytes(pickle.dumps(Evil()))
    refused(tmp_path / "plain.eval", "is a pickle")
    assert not (tmp_path / "pwned").exists()


def test_slime_rollouts_are_refused_with_the_lines_that_convert_them(tmp_path):
    path = tmp_path / "rollout_3.pt"
    path.write_bytes(b"PK\x03\x04")
    refused(path, "never loads one", "rows['samples']", "group_index")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"other.txt": "x"}, "header.json is missing"),
        ({"header.json": HEADER}, "holds no samples"),
        ({"header.json": HEADER, "summaries.json": []}, "holds no samples"),
        ({"header.json": HEADER, "summaries.json": "{broken"}, "no readable JSON"),
        ({"header.json": HEADER, "summaries.json": b"\xff\xfe"}, "no readable JSON"),
        ({"header.json": HEADER, "summaries.json": "[" * 100_000}, "no readable JSON"),
        ({"header.json": HEADER, "summaries.json": {"a": 1}}, "no list of samples"),
        ({"header.json": HEADER, "summaries.json": [1, 2]}, "no list of samples"),
        ({"header.json": "[]"}, "header.json is missing"),
    ],
)
def test_a_log_without_samples_says_what_is_missing(log, members, words):
    refused(log(**members), words)

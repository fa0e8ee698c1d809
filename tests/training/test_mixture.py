"""Several data sets in one training: how often each is read, and what is reported of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from midirnn.cli.main import main
from midirnn.codecs import Augmentation, PerformanceCodec
from midirnn.datasets.draws import PieceDraw
from midirnn.datasets.mixture import (
    JoinedPieces,
    Mixture,
    Source,
    chances_of,
    parse_weight,
    shares_of,
)
from midirnn.errors import CheckpointError, DatasetError, OptionError
from midirnn.training.config import TrainingConfig
from midirnn.training.evaluate import evaluate
from midirnn.training.run import LAST, Trainer
from midirnn.training.tasks import make_task
from tests.datasets.made import write_pieces
from tests.training.test_run import same_weights
from tests.training.tiny import CODEC, MODEL, TRAIN, VALIDATION, metrics, recipe

SOURCES = [
    Source("songs", TRAIN[:3], VALIDATION[:1]),
    Source("jazz", TRAIN[3:], VALIDATION[1:], weight=0.5),
]


def trainer(folder: Path, config: TrainingConfig, sources: list[Source] = SOURCES) -> Trainer:
    return Trainer(folder, make_task(MODEL, config, CODEC, sources), config)


class TestShares:
    def test_a_data_set_is_read_as_often_as_its_tokens_times_its_weight_say(self) -> None:
        sources = [
            Source("a", [np.zeros(n, np.uint16) for n in (30, 0, 10)]),
            Source("b", [np.zeros(n, np.uint16) for n in (50, 70)], weight=0.5),
        ]
        assert shares_of(sources) == pytest.approx([0.4, 0.6])
        pieces = JoinedPieces([source.train for source in sources])
        draw = PieceDraw(pieces, Augmentation(), CODEC, chances_of(sources))
        rng = np.random.default_rng(0)
        drawn = [len(draw(rng)) for _ in range(4000)]
        found = {length: drawn.count(length) / 4000 for length in (30, 10, 50, 70)}
        expected = {30: 0.3, 10: 0.1, 50: 0.25, 70: 0.35}
        assert found == pytest.approx(expected, abs=0.04)

    def test_joined_pieces_are_all_pieces_in_a_row(self) -> None:
        joined = JoinedPieces([TRAIN[:2], [], TRAIN[2:]])
        assert len(joined) == 4
        assert all(np.array_equal(a, b) for a, b in zip(joined[:], TRAIN, strict=True))
        assert np.array_equal(joined[-1], TRAIN[-1])


class TestRuns:
    def test_validation_is_reported_of_each_and_as_their_mean(self, tmp_path: Path) -> None:
        made = trainer(tmp_path / "run", recipe(7))
        made.run()
        last = metrics(tmp_path / "run")[-1]
        each = {
            source.name: evaluate(made.model, CODEC, source.validation).nats_per_token
            for source in SOURCES
        }
        for name, nats in each.items():
            assert last[f"validation_nats_per_token/{name}"] == pytest.approx(nats, abs=1e-5)
        shares = shares_of(SOURCES)
        mean = float(np.dot(shares, list(each.values())))
        assert last["validation_nats_per_token"] == pytest.approx(mean, abs=1e-5)

    def test_one_data_set_alone_is_reported_once(self, tmp_path: Path) -> None:
        trainer(tmp_path / "run", recipe(7), SOURCES[:1]).run()
        assert not [name for name in metrics(tmp_path / "run")[-1] if "/" in name]

    def test_a_run_on_a_mixture_goes_on_exactly_where_it_stopped(self, tmp_path: Path) -> None:
        config = recipe(12)
        trainer(tmp_path / "whole", config).run()
        first = trainer(tmp_path / "parts", config)
        first.run(lambda: first.progress.step >= 5)
        again = trainer(tmp_path / "parts", config)
        again.resume()
        again.run()
        assert same_weights(tmp_path / "whole" / LAST, tmp_path / "parts" / LAST)
        assert metrics(tmp_path / "whole") == metrics(tmp_path / "parts")

    def test_it_is_not_resumed_with_other_weights(self, tmp_path: Path) -> None:
        first = trainer(tmp_path / "run", recipe(12))
        first.run(lambda: first.progress.step >= 2)
        other = [SOURCES[0], Source("jazz", TRAIN[3:], VALIDATION[1:], weight=2)]
        with pytest.raises(CheckpointError, match=r"weight 0\.5.*weight 2"):
            trainer(tmp_path / "run", recipe(12), other).resume()

    def test_a_source_without_pieces_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="empty has no pieces in its train split"):
            trainer(tmp_path, recipe(1), [SOURCES[0], Source("empty", [])])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets: a (train and validation) and b; one of another codec: fine."""
    folder = tmp_path_factory.mktemp("sets")
    write_pieces(folder / "a", TRAIN[:2], VALIDATION)
    write_pieces(folder / "b", TRAIN[2:])
    fine = PerformanceCodec(velocity_bins=16)
    write_pieces(folder / "fine", [np.zeros(4, np.uint16)], codec=fine)
    return folder


class TestCommand:
    def test_a_weight_follows_a_colon(self, place: Path) -> None:
        assert parse_weight(f"{place}/a:0.5") == (place / "a", 0.5)
        assert parse_weight(f"{place}/a") == (place / "a", 1.0)
        assert parse_weight("C:data") == (Path("C:data"), 1.0)

    @pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf"])
    def test_a_weight_has_to_be_above_0(self, weight: str) -> None:
        with pytest.raises(OptionError, match=f"the weight of a is {weight}; it must be above 0"):
            parse_weight(f"a:{weight}")

    def test_the_same_set_twice_is_refused(self, place: Path) -> None:
        with pytest.raises(OptionError, match="is given twice; give it once, with a weight"):
            Mixture.open([f"{place}/a", f"{place}/b/../a:2"])

    def test_another_codec_is_refused_with_both_values(self, place: Path) -> None:
        with pytest.raises(DatasetError, match=r"velocity_bins = 16, and .*a with 32: encode all"):
            Mixture.open([f"{place}/a", f"{place}/fine"])

    def test_sets_of_the_same_name_are_told_apart(self, place: Path, tmp_path: Path) -> None:
        write_pieces(tmp_path / "a", TRAIN[:1])
        both = [f"{place}/a", f"{tmp_path}/a:2"]
        assert Mixture.open(both).names == [both[0], f"{tmp_path}/a"]

    def test_it_trains_on_all_and_says_how_each_fares(
        self, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sizes = ["--hidden-size=8", "--embedding-size=8", "--num-layers=1", "--window=16"]
        flags = ["--tokens=64", "--batch-size=2", "--no-bf16", *sizes]
        run = str(tmp_path / "run")
        assert main(["train", f"{place}/a", f"{place}/b:0.25", "-o", run, *flags]) == 0
        first = capsys.readouterr().out.splitlines()[0]
        assert first.startswith("step 2  0.00 M tokens  validation ")
        assert "(a " in first and "b " not in first.partition("(")[2]

"""Many pieces are the same however many processes make them."""

from __future__ import annotations

from pathlib import Path

import pytest

from midirnn.engines.load import Model, load
from midirnn.errors import OptionError
from midirnn.models.checkpoint import write_checkpoint
from midirnn.performance import Performance
from midirnn.sampling import SamplingConfig, generate
from midirnn.sampling.many import continue_many, generate_many
from midirnn.sampling.requests import Request
from tests.engines.stepping import CODEC, CONFIGS, trained_weights
from tests.judging.pieces import melody


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model")
    write_checkpoint(folder, CONFIGS[1], CODEC, trained_weights(CONFIGS[1]), {})
    return load(folder)


def make(model: Model, count: int, workers: int = 1, seed: int = 5) -> list[Performance]:
    config = SamplingConfig(temperature=0.8, max_note_seconds=0.5)
    pieces = generate_many(
        model, count, seconds=1.5, sampling=config, seed=seed, engine="numpy", workers=workers
    )
    return list(pieces)


def test_each_piece_has_the_seed_after_the_one_before(model: Model) -> None:
    config = SamplingConfig(temperature=0.8, max_note_seconds=0.5)
    alone = [
        generate(model, seconds=1.5, sampling=config, seed=seed, engine="numpy")
        for seed in (5, 6, 7)
    ]
    assert make(model, 3) == alone
    assert all(len(piece) for piece in alone)
    assert alone[0] != alone[1]


def test_any_number_of_workers_makes_the_same_pieces_in_the_same_order(model: Model) -> None:
    assert make(model, 7, workers=2) == make(model, 7)


def test_pieces_come_one_by_one(model: Model) -> None:
    pieces = generate_many(model, 10**6, seconds=0.5, engine="numpy")
    assert len([next(pieces), next(pieces)]) == 2


def test_what_is_wrong_is_told_by_processes_too(model: Model) -> None:
    with pytest.raises(OptionError, match="seconds is 0; allowed are above 0"):
        list(generate_many(model, 2, seconds=0.0, engine="numpy", workers=2))
    with pytest.raises(OptionError, match="there is no engine 'steam'"):
        generate_many(model, 2, seconds=1.0, engine="steam")


@pytest.mark.parametrize(("name", "value"), [("count", 0), ("seed", -1), ("workers", 0)])
def test_numbers_that_mean_nothing_are_refused(model: Model, name: str, value: int) -> None:
    with pytest.raises(OptionError, match=f"{name} is {value}; it must be at least"):
        generate_many(model, **({"count": 1, "seconds": 1.0} | {name: value}))  # type: ignore[arg-type]


def test_primers_are_continued_in_order_by_any_number_of_workers(model: Model) -> None:
    primers = [melody([60, 64, 67]), melody([50, 52, 53]), None]
    config = SamplingConfig(temperature=0.8, max_note_seconds=0.5)

    def continued(workers: int, batch: int | None = None) -> list[Performance]:
        made = continue_many(
            model,
            primers,
            request=Request(1.0, config),
            seeds=[3, 4, 5],
            engine="numpy",
            workers=workers,
            batch=batch,
        )
        return [generated.performance for generated in made]

    assert continued(1) == continued(2)
    for index, (piece, primer) in enumerate(zip(continued(1), primers, strict=True)):
        alone = generate(
            model, primer=primer, seconds=1.0, sampling=config, seed=3 + index, engine="numpy"
        )
        assert piece == alone
    batched = continued(1, batch=1)
    assert batched == continued(1, batch=2) == continued(1, batch=40) == continued(2, batch=2)


def test_the_style_of_primers_is_followed_as_closely_as_generate_follows_it(
    tmp_path: Path,
) -> None:
    config = next(c for c in CONFIGS if c.control_inputs and c.held_input)
    write_checkpoint(tmp_path, config, CODEC, trained_weights(config), {})
    able, primer = load(tmp_path), melody([60, 64, 67, 72])
    pieces = {}
    for follow in (0.0, 1.0):
        request = Request(1.0, follow=follow)
        (made,) = continue_many(able, [primer], request=request, seeds=[3], engine="numpy")
        pieces[follow] = made.performance
        assert pieces[follow] == generate(
            able, primer=primer, seconds=1.0, seed=3, engine="numpy", follow=follow
        )
    assert pieces[0.0] != pieces[1.0]

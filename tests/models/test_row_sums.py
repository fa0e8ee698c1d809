"""The sums of a table's rows are the same in C++ as by a matrix product."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from midirnn.models import row_sums as module
from midirnn.models.row_sums import row_sums

STEPS, BATCH, WORDS, FEATURES = 9, 5, 40, 33


def given(dtype: torch.dtype, columns: int, features: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a table, tokens and mostly zero features; not all of these are contiguous."""
    generator = torch.Generator().manual_seed(columns)
    table = torch.randn(WORDS + features, columns, generator=generator).to(dtype)
    tokens = torch.randint(WORDS, (BATCH, STEPS), generator=generator).t()
    numbers = torch.rand(BATCH, STEPS, features, generator=generator)
    return table.requires_grad_(), tokens, (numbers * (numbers > 0.8)).transpose(0, 1)


def both_ways(monkeypatch: pytest.MonkeyPatch, *arguments: Tensor) -> list[list[Tensor]]:
    """Return the sums and the gradient of the table, in C++ and by a matrix product."""
    found = []
    for native in (True, False):
        monkeypatch.setattr(module, "_is_for", lambda *_: native)  # noqa: B023
        sums = row_sums(*arguments)
        weights = torch.sin(torch.arange(sums.numel())).view(sums.shape).to(sums.dtype)
        found.append([sums, *torch.autograd.grad((sums * weights).sum(), [arguments[0]])])
    return found


@pytest.mark.skipif(module.LIBRARY.get() is None, reason="needs a C++ compiler")
class TestSumsOfRows:
    @pytest.mark.parametrize("columns", [3, 64, 700])
    @pytest.mark.parametrize("features", [0, FEATURES])
    @pytest.mark.parametrize("threads", [1, 3])
    def test_are_those_of_a_product(
        self, columns: int, features: int, threads: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(threads)
            found = both_ways(monkeypatch, *given(torch.float32, columns, features))
        finally:
            torch.set_num_threads(before)
        for mine, expected in zip(*found, strict=True):
            torch.testing.assert_close(mine, expected, atol=1e-5, rtol=1e-5)

    def test_in_bf16_are_rounded_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        table, tokens, features = given(torch.bfloat16, 300, FEATURES)
        exact = row_sums(table.float(), tokens, features)
        sums, gradient = both_ways(monkeypatch, table, tokens, features)[0]
        assert sums.dtype == gradient.dtype == torch.bfloat16
        torch.testing.assert_close(sums, exact.bfloat16(), atol=0, rtol=0.008)

    def test_a_token_without_a_row_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        table, tokens, features = given(torch.float32, 8, FEATURES)
        for native in (True, False):
            monkeypatch.setattr(module, "_is_for", lambda *_: native)  # noqa: B023
            for wrong in (-1, WORDS):
                with pytest.raises(IndexError):
                    row_sums(table, torch.full_like(tokens, wrong), features)


def test_small_windows_are_left_to_the_product() -> None:
    assert not module._is_for(torch.zeros(4, 8), torch.zeros(3, 2, dtype=torch.int64))

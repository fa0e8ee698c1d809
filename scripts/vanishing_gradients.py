"""Show how far back a gradient reaches: in each recurrent cell, and in a linear recurrence.

    python3 scripts/vanishing_gradients.py DATASET OUTPUT [--updates N]

Trains a small network of each cell on a data set, with windows of 64 tokens, and prints the norm
of dL_t/dh_(t-k) over k before and after; then the norm of W^k for matrices of several spectral
radii. Writes OUTPUT/gradients.png and OUTPUT/powers.png. Needs the extra 'train'.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from midirnn.datasets import Dataset
from midirnn.models.cells import CELLS
from midirnn.models.layers import TORCH, RecurrentLayer
from midirnn.plots.saving import GRID, INK, make_figure, save_figure

HIDDEN, EMBEDDING, WINDOW, ROWS = 64, 32, 64, 16
BACK = 100
"""How far back gradients are measured, in steps."""
SHOWN = (0, 1, 5, 10, 20, 50, 100)
RADII = (0.9, 0.99, 1.0, 1.01, 1.1)
COLOURS = ("#c1440e", "#2a6f97", "#3a7d44", "#7b2d8b", "#8d8d9b")


class Network(nn.Module):
    """An embedding, one recurrent layer and logits. Returns its states for their gradients."""

    def __init__(self, vocab_size: int, cell: str) -> None:
        super().__init__()
        self.cell = CELLS[cell]
        self.embedding = nn.Embedding(vocab_size, EMBEDDING)
        self.layer = RecurrentLayer(self.cell, EMBEDDING, HIDDEN)
        self.output = nn.Linear(HIDDEN, vocab_size)

    def forward(self, tokens: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the logits (B, T, V) after tokens (B, T), and h (B, H) after each."""
        state = tuple(torch.zeros(len(tokens), HIDDEN) for _ in self.cell.states)
        x = nn.functional.linear(
            self.embedding(tokens), self.layer.weight_ih, self.layer.bias
        )  # (B, T, G * H)
        states = []
        for x_gates in x.unbind(1):
            h_gates = nn.functional.linear(
                state[0], self.layer.weight_hh, self.layer.recurrent_bias
            )
            h, state = self.cell.step(x_gates, h_gates, state, TORCH)
            states.append(h)
        return self.output(torch.stack(states, 1)), states


def windows(text: np.ndarray, length: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return random windows of a text and their next tokens; shape (ROWS, length) each."""
    begin = rng.integers(0, len(text) - length - 1, ROWS)
    rows = torch.from_numpy(np.stack([text[b : b + length + 1] for b in begin]).astype(np.int64))
    return rows[:, :-1], rows[:, 1:]


def train(network: Network, text: np.ndarray, updates: int) -> float:
    """Train with Adam; return the loss of the last update."""
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    rng, loss = np.random.default_rng(0), torch.zeros(())
    for _ in range(updates):
        inputs, targets = windows(text, WINDOW, rng)
        logits, _ = network(inputs)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return float(loss.detach())


def gradient_norms(network: Network, text: np.ndarray) -> np.ndarray:
    """Return the mean norm of dL_t/dh_(t-k) for k = 0 to BACK, where t is the last step."""
    inputs, targets = windows(text, BACK + 1, np.random.default_rng(1))
    logits, states = network(inputs)
    loss = nn.functional.cross_entropy(logits[:, -1], targets[:, -1], reduction="sum")
    gradients = torch.autograd.grad(loss, states[::-1])
    return np.array([float(g.norm(dim=1).mean()) for g in gradients])


def powers(radius: float, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of a random matrix with that spectral radius, and |W^k v| over k."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((size, size))
    matrix *= radius / np.abs(np.linalg.eigvals(matrix)).max()
    vector = rng.standard_normal(size)
    vector /= np.linalg.norm(vector)
    norms = [1.0]
    for _ in range(BACK):
        vector = matrix @ vector
        norms.append(float(np.linalg.norm(vector)))
    return np.linalg.eigvals(matrix), np.array(norms)


def axes_of(figure: Figure, place: int, count: int, title: str, xlabel: str) -> Axes:
    axes = figure.add_subplot(1, count, place)
    axes.set_title(title, color=INK, fontsize=10)
    axes.set_xlabel(xlabel, color=INK)
    axes.grid(color=GRID)
    return axes


def show_gradients(text: np.ndarray, updates: int, path: Path) -> None:
    figure = make_figure(9.0, 3.6)
    before = axes_of(figure, 1, 2, "before training", "steps back, k")
    after = axes_of(figure, 2, 2, f"after {updates} updates", "steps back, k")
    before.set_ylabel("norm of dL/dh")
    print("norm of dL_t/dh_(t-k), relative to k = 0:")
    print("cell   training  loss   " + "".join(f"{f'k={k}':>9}" for k in SHOWN))
    for name, colour in zip(CELLS, COLOURS, strict=False):
        torch.manual_seed(0)
        network = Network(int(text.max()) + 1, name)
        for axes, updates_now in ((before, 0), (after, updates)):
            loss = f"{train(network, text, updates_now):.3f}" if updates_now else ""
            norms = gradient_norms(network, text)
            norms = np.maximum(norms / norms[0], 1e-12)
            axes.semilogy(norms, color=colour, label=name)
            row = "".join(f"{norms[k]:9.1e}" for k in SHOWN)
            print(f"{name:<6} {'after' if updates_now else 'before':<9} {loss:<6} {row}")
    for axes in (before, after):
        axes.set_ylim(1e-9, 30)
        axes.legend(frameon=False)
    save_figure(figure, path)
    print(f"{path}: written")


def show_powers(path: Path) -> None:
    figure = make_figure(9.0, 3.6)
    left = axes_of(figure, 1, 2, "eigenvalues of W, radius 1", "real part")
    right = axes_of(figure, 2, 2, "norm of W^k v", "k")
    left.set_aspect("equal")
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 200))
    left.plot(circle.real, circle.imag, color=GRID)
    print("norm of W^k v, by the spectral radius of W:")
    print("radius  " + "".join(f"{f'k={k}':>9}" for k in SHOWN))
    for radius, colour in zip(RADII, COLOURS, strict=True):
        values, norms = powers(radius)
        if radius == 1.0:
            left.scatter(values.real, values.imag, s=12, color=colour)
        right.semilogy(norms, color=colour, label=f"radius {radius:g}")
        print(f"{radius:<7g} " + "".join(f"{norms[k]:9.1e}" for k in SHOWN))
    right.legend(frameon=False)
    save_figure(figure, path)
    print(f"{path}: written")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--updates", type=int, default=600)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pieces = Dataset.open(arguments.dataset).pieces("train")
    text = np.concatenate(pieces)
    show_powers(arguments.output / "powers.png")
    show_gradients(text, arguments.updates, arguments.output / "gradients.png")


if __name__ == "__main__":
    main()

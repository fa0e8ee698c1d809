"""The flags of ``midirnn generate`` that say how pieces are drawn, and the drawing itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

from midirnn.cli.progress import counted_bar, progress_bar
from midirnn.errors import OptionError

if TYPE_CHECKING:
    from midirnn.composing import Candidate, Form, InForm
    from midirnn.engines.load import Model
    from midirnn.sampling.generated import Generated
    from midirnn.sampling.many import Begin
    from midirnn.sampling.requests import Request

T = TypeVar("T")

MOST_PIECES = 1_000_000


@dataclass(frozen=True)
class DrawingFlags:
    """How many pieces are drawn, in how many processes, and which of many are kept."""

    count: Annotated[
        int, Parameter(help="Number of pieces to generate: out-1.mid, out-2.mid, ...")
    ] = 1
    workers: Annotated[int, Parameter(help="With --count: number of worker processes.")] = 1
    batch: Annotated[
        int | None,
        Parameter(
            help="With --count: number of pieces in progress at once, computed in numpy unless "
            "--engine says otherwise (native is the fastest). The music depends on the engine, but "
            "neither on this number nor on --workers. [one after another]"
        ),
    ] = None
    resume: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="With --count and --seed: keep the files that exist, and make the others. The "
            "settings must be the same.",
        ),
    ] = False
    best_of: Annotated[
        int,
        Parameter(help="Draw this many candidates in one batch, and keep the best."),
    ] = 1
    beam: Annotated[
        int | None,
        Parameter(
            help="Draw this many candidates by stochastic beam search, which never draws one "
            "twice, and keep the best."
        ),
    ] = None
    by: Annotated[
        str | None,
        Parameter(
            help="Measure by which --best-of and --beam choose: likelihood, continuity (nearness "
            "to the primer), key, density, or FILE.py:function, which takes a Performance and "
            "returns a number. [likelihood]"
        ),
    ] = None
    sections: Annotated[
        str | None,
        Parameter(
            help="The form of the music, a letter for each section, such as AABA. A section whose "
            "letter occurs again comes back varied. Implies --end."
        ),
    ] = None
    section_seconds: Annotated[
        float | None, Parameter(help="With --sections: length of each section in seconds. [20]")
    ] = None
    variation: Annotated[
        float | None,
        Parameter(
            help="With --sections: how much a section varies when it comes back, 0 to 1. [0.3]"
        ),
    ] = None

    def check(self, seed: int | None, seconds: float | None, tokens: int | None) -> None:
        """Raise :class:`OptionError` for wrong numbers, and for flags that exclude one another."""
        for name, least in (
            ("workers", 1),
            ("batch", 1),
            ("best_of", 1),
            ("beam", 1),
        ):
            number = getattr(self, name)
            if number is not None and number < least:
                flag = name.replace("_", "-")
                raise OptionError(f"--{flag} is {number}; it must be at least {least}")
        if not 1 <= self.count <= MOST_PIECES:
            raise OptionError(f"--count is {self.count}; allowed are 1 to {MOST_PIECES:,}")
        if self.resume and self.count == 1:
            raise OptionError("--resume is for a set of pieces: give its --count")
        if self.resume and seed is None:
            raise OptionError(
                "--resume makes the pieces that are missing: give the --seed of the rest"
            )
        if len(self.ways()) > 1:
            raise OptionError(f"{' and '.join(self.ways())} exclude one another; choose one")
        if self.ways() and tokens is not None:
            raise OptionError(
                f"{self.ways()[0]} is for music: say how much to generate in seconds, not tokens"
            )
        if self.sections is not None and seconds is not None:
            raise OptionError(
                "--seconds is the length of all: with --sections give --section-seconds"
            )
        self._check_partners()
        if self.chooses:
            from midirnn.composing import find_measure

            find_measure(self._measure)

    def _check_partners(self) -> None:
        """Raise :class:`OptionError` for flags without the one that they belong to."""
        if self.draws_several and self.count == 1:
            flag = "--workers" if self.workers > 1 else "--batch"
            raise OptionError(f"{flag} is for a set of pieces: give its --count")
        if self.by is not None and not self.chooses:
            raise OptionError("--by chooses among candidates: give --best-of or --beam")
        for flag, value in (
            ("--section-seconds", self.section_seconds),
            ("--variation", self.variation),
        ):
            if value is not None and self.sections is None:
                raise OptionError(f"{flag} is for --sections, which were not given")

    def with_defaults(self) -> DrawingFlags:
        """Return these flags with the defaults of those that depend on another."""
        form = self._form(self.sections or "A")
        return replace(
            self,
            by=self._measure,
            section_seconds=form.section_seconds,
            variation=form.variation,
        )

    @property
    def _measure(self) -> str:
        return "likelihood" if self.by is None else self.by

    def _form(self, letters: str) -> Form:
        from midirnn.composing import Form

        given = {"section_seconds": self.section_seconds, "variation": self.variation}
        return Form(letters, **{name: value for name, value in given.items() if value is not None})

    def seconds(self, given: float | None) -> float:
        """Return the length of the new music."""
        from midirnn.sampling.requests import DEFAULT_SECONDS

        if self.sections is not None:
            return self._form(self.sections).seconds
        return DEFAULT_SECONDS if given is None else given

    @property
    def chooses(self) -> bool:
        """Whether the best of many is kept."""
        return self.best_of > 1 or self.beam is not None

    def ways(self) -> list[str]:
        """Return the flags that were given and exclude one another, of each kind the first."""
        given = {
            "--best-of": self.best_of > 1,
            "--beam": self.beam is not None,
            "--sections": self.sections is not None,
        }
        ways = [flag for flag, is_given in given.items() if is_given]
        several = "--workers" if self.workers > 1 else "--batch"
        return ways if not self.draws_several or ways == ["--sections"] else [*ways, several]

    @property
    def draws_several(self) -> bool:
        """Whether several pieces are in progress at once."""
        return self.workers > 1 or self.batch is not None

    def draw(
        self, model: Model, request: Request, heard: Any, seeds: Sequence[int], engine: str
    ) -> Iterator[Generated] | None:
        """Yield a piece of music for each seed; None if none of these flags is given."""
        from midirnn.codecs import NoteStream

        if not self.ways():
            return None
        if not isinstance(model.codec, NoteStream):
            raise OptionError(
                f"{self.ways()[0]} is for music; the codec {model.codec.name!r} has no time"
            )
        if self.chooses:
            return self._best(model, request, heard, seeds, engine)
        if self.sections is not None:
            return self._in_form(model, self.sections, request, heard, seeds, engine)
        from midirnn.sampling.continuation import begin_piece

        return self._several(begin_piece, model, request, heard, seeds, engine)

    def _best(
        self, model: Model, request: Request, heard: Any, seeds: Sequence[int], engine: str
    ) -> Iterator[Generated]:
        """Yield the best of many candidates for each seed, and print the measures of all."""
        from midirnn.composing import beam_search, best_of, find_measure

        measure = find_measure(self._measure)
        search: Callable[..., list[Candidate]] = best_of if self.beam is None else beam_search
        count = self.best_of if self.beam is None else self.beam
        for seed in seeds:
            with progress_bar("candidates") as progress:
                found = search(
                    model,
                    count,
                    measure,
                    request,
                    heard,
                    seed=seed,
                    engine=engine,
                    progress=progress,
                )
            values = ", ".join(f"{candidate.measure:.3f}" for candidate in found)
            print(f"{self._measure} of {count} candidates: {values}", file=sys.stderr)
            yield found[0].generated

    def _in_form(
        self,
        model: Model,
        form: str,
        request: Request,
        heard: Any,
        seeds: Sequence[int],
        engine: str,
    ) -> Iterator[Generated]:
        """Yield a piece in sections for each seed, and print how similar the sections are."""
        from midirnn.composing import begin_form, generate_form

        wanted = self._form(form)
        if self.draws_several:
            begin = partial(begin_form, wanted)
            for seed, made in zip(
                seeds, self._several(begin, model, request, heard, seeds, engine), strict=True
            ):
                _print_sections(made, f"seed {seed}, ")
                yield made.generated
            return
        for seed in seeds:
            with progress_bar("generating") as progress:
                made = generate_form(
                    model,
                    form,
                    wanted.section_seconds,
                    request,
                    heard,
                    variation=wanted.variation,
                    seed=seed,
                    engine=engine,
                    progress=progress,
                )
            _print_sections(made, f"seed {seed}, " if len(seeds) > 1 else "")
            yield made.generated

    def _several(
        self,
        begin: Begin[T],
        model: Model,
        request: Request,
        heard: Any,
        seeds: Sequence[int],
        engine: str,
    ) -> Iterator[T]:
        """Return the pieces in order of their seeds, with several in progress at once."""
        from midirnn.sampling.many import draw_many

        made = draw_many(
            model,
            [heard] * len(seeds),
            begin,
            request=request,
            seeds=seeds,
            engine=engine,
            workers=self.workers,
            batch=self.batch,
        )
        return counted_bar("pieces", made, len(seeds))


def _print_sections(made: InForm, before: str) -> None:
    """Print the sections of a piece, a line each, and how similar they are."""
    for section in made.sections:
        times = f"{section.begin_seconds:g} to {section.end_seconds:g} s"
        alike = ""
        if section.likeness is not None:
            alike = f", {section.likeness:.2f} like the first {section.letter}"
        print(f"{before}{section.letter}: {times}{alike}", file=sys.stderr)

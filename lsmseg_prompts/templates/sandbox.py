"""Where templates of questions run: Jinja2's sandbox, with bounds on what they do and make.

A template may come from anywhere, and Jinja2 alone lets nested loops run for hours and a few signs
make gigabytes. Here every turn of a loop, call and filter is a step, every value is measured where
it is made, and there are the filters and methods that a question needs: FILTERS, METHODS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial, wraps
from itertools import chain, islice
from time import thread_time
from typing import Any

from jinja2 import StrictUndefined, nodes, pass_context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment, SecurityError
from jinja2.visitor import NodeTransformer

LONGEST = 20_000  # characters and items of one value, those of its items with it
MADE = 1_000_000  # of all values together
STEPS = 2_000
SECONDS = 0.5  # of processor time, for what is neither a step nor makes anything

FILTERS = (
    "capitalize", "count", "d", "default", "first", "float", "int", "items", "join", "last",
    "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse",
    "round", "select", "selectattr", "sort", "string", "title", "trim", "truncate", "unique",
    "upper", "wordcount",
)  # fmt: skip
METHODS = frozenset({
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalpha", "isascii",
    "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join",
    "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex",
    "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase",
    "title", "upper",
})  # fmt: skip
"""Of texts; those that fill up to a width could fill the memory."""


class TooMuch(Exception):
    """A template went beyond a bound: how far, and what to do, as the end of a sentence."""


class TooLong(TooMuch):
    """It took too much processor time, which may have been something else's."""


class Work:
    """What one rendering has done so far."""

    def __init__(self, seconds: float) -> None:
        self.steps = self.made = 0
        self.end = thread_time() + seconds

    def step(self) -> None:
        """Count a turn of a loop, a call or a filter."""
        self.steps += 1
        if self.steps > STEPS:
            raise TooMuch(
                f"more than {STEPS:,} steps (turns of loops, calls, filters), so shorten its loops"
            )
        if thread_time() > self.end:
            raise TooLong(f"more than {SECONDS:g} s of work, so make it simpler")

    def measure(self, value: Any) -> Any:
        """`value`, once it is known to be small enough."""
        size = _size(value)
        self.made += size
        if size > LONGEST or self.made > MADE:
            most = LONGEST if size > LONGEST else MADE
            raise TooMuch(f"more than {most:,} characters in its values, so shorten them")
        return value


_WORK: ContextVar[Work] = ContextVar("work")


def _size(value: Any) -> int:
    """The characters, items and bytes of numbers in a value; LONGEST and one for any more."""
    size, open_ones = 0, [iter((value,))]
    while open_ones and size <= LONGEST:
        for one in open_ones[-1]:
            size += len(one) if isinstance(one, str) else 1
            if isinstance(one, int):
                size += one.bit_length() // 8
            if isinstance(one, dict):
                open_ones.append(chain(one, one.values()))
                break
            if isinstance(one, list | tuple | set | frozenset):
                open_ones.append(iter(one))
                break
            if size > LONGEST:
                break
        else:
            open_ones.pop()
    return min(size, LONGEST + 1)


def _step(
    function: Callable[..., Any], own: Any, args: Sequence[Any], more: Mapping[str, Any]
) -> Any:
    """A call as one step, with what goes in (`own` is the text of a method) and out measured."""
    work = _WORK.get()
    work.step()
    for value in (own, *args, *more.values()):
        work.measure(value)
    result = function(*args, **more)
    if isinstance(result, Iterator):  # map and select would make their values later
        result = list(islice(result, LONGEST + 1))
    return work.measure(result)


def bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that is a step."""

    @wraps(function)  # also keeps the mark of Jinja2's that says whether it takes the context
    def call(*args: Any, **more: Any) -> Any:
        return _step(function, None, args, more)

    return call


def _turns(values: Iterable[Any]) -> Iterator[Any]:
    """The values that a loop runs over, a step each."""
    work = _WORK.get()
    for value in values:
        work.step()
        yield value


def _measured(value: Any) -> Any:
    return _WORK.get().measure(value)


def _joined(values: list[Any]) -> str:
    """What `a ~ b` makes."""
    return str(_measured("".join(map(str, _measured(values)))))


@pass_context  # without it, Jinja2 would write out what is constant before anything is counted
def _written(_: Any, value: Any) -> Any:
    """What {{ value }} writes.

    Nothing for None, such as the sense of a class that has none, and the words of a list between
    commas.
    """
    _measured(value)
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


class _Bounds(NodeTransformer):
    """Puts the filters that count and measure around what a template makes without a filter."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            raise SecurityError("recursive loops are not allowed here")
        self.generic_visit(node)
        node.iter = _through("(turns)", node.iter)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        self.generic_visit(node)
        return _through("(joined)", nodes.List(node.nodes, lineno=node.lineno))

    def visit_List(self, node: nodes.List) -> nodes.Expr:
        self.generic_visit(node)
        return _through("(measured)", node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:
        self.generic_visit(node)
        return _through("(measured)", node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        self.generic_visit(node)
        return _through("(measured)", node) if node.ctx == "load" else node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:
        self.generic_visit(node)
        return _through("(measured)", node) if isinstance(node.arg, nodes.Slice) else node


def _through(name: str, node: nodes.Node) -> nodes.Filter:
    """A node through a filter, of a name that no template can write."""
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "**", "%"])

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template = super()._parse(source, name, filename)
        _Bounds().visit(template)
        return template.set_environment(self)  # type: ignore[return-value]

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str | bytes | int | float):
            return isinstance(obj, str) and attr in METHODS
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        return None  # '{:1000000000}'.format(1): `format` is none of METHODS

    def call_binop(self, context: Any, operator: str, *operands: Any) -> Any:
        if operator in ("*", "**", "%"):
            raise SecurityError(f"the operator {operator} is not allowed here")
        return _measured(super().call_binop(context, operator, *operands))

    def call(self, context: Any, obj: Any, *args: Any, **more: Any) -> Any:
        return _step(
            partial(super().call, context, obj), getattr(obj, "__self__", None), args, more
        )


@cache
def environment() -> SandboxedEnvironment:
    """The sandbox; `filters` of the caller's may be added."""
    # Plain text for a language model, not HTML: escaping would alter names such as "B&B".
    made = _Sandbox(undefined=StrictUndefined, autoescape=False, optimized=False, finalize=_written)
    made.filters = {name: bounded(made.filters[name]) for name in FILTERS}
    made.filters |= {"(turns)": _turns, "(joined)": _joined, "(measured)": _measured}
    del made.globals["lipsum"]  # random words, as many as asked for
    return made


@contextmanager
def one_rendering(seconds: float = SECONDS) -> Iterator[None]:
    """What is compiled and rendered within the block has the bounds to itself."""
    token = _WORK.set(Work(seconds))
    try:
        yield
    finally:
        _WORK.reset(token)


def short(text: str) -> str:
    """A template or what it wrote, of at most LONGEST characters."""
    if len(text) > LONGEST:
        raise TooMuch(f"{len(text):,} characters; {LONGEST:,} is the most, so shorten it")
    return text

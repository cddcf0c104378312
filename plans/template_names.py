"""Which values a template names: `subject.email`, `saved.lock.token`, `body.items`."""

from collections.abc import Iterator
from functools import lru_cache

from jinja2 import StrictUndefined, TemplateError, meta, nodes
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.parser import Parser
from jinja2.sandbox import SandboxedEnvironment

from plans.secrets import split_references

#: A name as its parts: `saved.lock.token` is `("saved", "lock", "token")`.
DottedName = tuple[str, ...]

_JINJA = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


@lru_cache(maxsize=4096)
def names_of(text: str, *, is_expression: bool) -> frozenset[DottedName]:
    """Every value that a text needs from outside, each as far as its name is written out.

    `subject['email']` and `subject.email` are one name; `subject[key]` and `subject | tojson` need all of `subject`. A method
    that is called is no part of a name, a variable that the template sets itself is no name, and neither is one of Jinja2's
    own functions. An expression may stand bare or in `{{ }}`. A text that is no valid Jinja2 names nothing.
    """
    names: set[DottedName] = set()
    for template in _parsed(text, is_expression=is_expression):
        try:
            outside = meta.find_undeclared_variables(template) - set(DEFAULT_NAMESPACE)
        except TemplateError:
            # A filter or test that doesn't exist: the plan's check tells of it.
            continue
        names |= {name for name in _names_below(template) if name[0] in outside}
    return frozenset(names)


def _parsed(text: str, *, is_expression: bool) -> Iterator[nodes.Template]:
    """The text as syntax trees. Secret references are resolved, never rendered, so what lies between them is parsed alone."""
    try:
        if is_expression and not text.lstrip().startswith("{{"):
            expression = Parser(_JINJA, text, state="variable").parse_expression()
            template = nodes.Template([nodes.Output([expression], lineno=1)], lineno=1)
            template.set_environment(_JINJA)
            yield template
        else:
            for is_secret, part in [(False, text)] if is_expression else split_references(text):
                if not is_secret:
                    yield _JINJA.parse(part)
    except TemplateError:
        return


def _names_below(node: nodes.Node) -> Iterator[DottedName]:
    """The names in a part of the tree; of `subject.email` the whole, not `subject` besides."""
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
        # `subject.email.lower()`: the value is `subject.email`.
        yield from _names_below(node.node.node)
        for argument in (*node.args, *node.kwargs, node.dyn_args, node.dyn_kwargs):
            if argument is not None:
                yield from _names_below(argument)
    elif (name := _written_out(node)) is not None:
        yield name
    else:
        for child in node.iter_child_nodes():
            yield from _names_below(child)


def _written_out(node: nodes.Node) -> DottedName | None:
    """The name that a node consists of; None where it is something else, or goes on in a way only the values tell."""
    match node:
        case nodes.Name(ctx="load"):
            return (node.name,)
        case nodes.Getattr():
            inner, part = _written_out(node.node), node.attr
        case nodes.Getitem(arg=nodes.Const(value=str(part))):
            inner = _written_out(node.node)
        case _:
            return None
    return None if inner is None else (*inner, part)

"""What of a code's text counts: its essence.

Comments, docstrings, layout, type annotations and the wording of errors and warnings change nothing in it.
"""

from __future__ import annotations

import ast


def essence(node: object) -> str:
    """Code as a syntax tree in text, the same for the same meaning and under every Python: without what does not count,
    and without imports, whose targets are followed instead.

    node : a text of Python (SyntaxError for any other), a node of its tree, or a list of nodes.
    """
    if isinstance(node, str):
        return essence(ast.parse(node).body)
    if isinstance(node, list | tuple):
        return f"[{','.join(essence(item) for item in node if not is_silent(item))}]"
    if isinstance(node, ast.Raise):
        return f"Raise({ast.unparse(callee(node.exc)) if node.exc else ''})"
    if is_warning(node):
        return "Warning"
    if isinstance(node, ast.AnnAssign):
        return f"Assign(targets=[{essence(node.target)}],value={essence(node.value) if node.value else ''})"
    if isinstance(node, ast.Constant):
        return f"Constant({node.value!r})"
    if isinstance(node, ast.AST):
        left_out = LEFT_OUT.get(type(node), ()) + ("ctx", "type_comment", "type_params", "kind")
        fields = [(n, v) for n, v in ast.iter_fields(node) if n not in left_out and v is not None and v != []]
        inside = ",".join(f"{n}={essence(v) if isinstance(v, ast.AST | list) else repr(v)}" for n, v in fields)
        return f"{type(node).__name__}({inside})"
    return repr(node)


LEFT_OUT = {
    ast.FunctionDef: ("returns",),
    ast.AsyncFunctionDef: ("returns",),
    ast.arg: ("annotation",),
    ast.Assert: ("msg",),
}


def is_silent(node: object) -> bool:
    """A statement that does nothing by itself."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.AnnAssign):
        return node.value is None and isinstance(node.target, ast.Name)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Pass)


def callee(node: ast.AST) -> ast.AST:
    """``f`` of ``f`` and of ``f(…)``."""
    return node.func if isinstance(node, ast.Call) else node


def is_warning(node: object) -> bool:
    """A statement that warns: it decides nothing."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    return chain(node.value.func)[-2:] in (("warnings", "warn"), ("warn",))


def chain(node: ast.AST) -> tuple[str, ...]:
    """``a.b.c`` as ("a", "b", "c"); empty for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (before := chain(node.value)):
        return (*before, node.attr)
    return ()

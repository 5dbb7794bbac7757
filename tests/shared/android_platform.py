"""Compile-only Java declarations of Android's API, from the .pyi that PyPI has.

PyPI's chaquopy-stubs-android is generated from the real android.jar (API 36), so
names, parameters and nullness are the platform's. It loses some things, which are
restored here or stay unchecked: int and long, float and double of results (the table
below), and which members are protected, abstract or deprecated. What has only
parameters named arg1, arg2 is abstract in android.jar, which tells interfaces apart.
"""

import ast
import re

# What the .pyi cannot tell: results that are long, not int.
LONG_RESULTS = {
    ("AssetFileDescriptor", "getStartOffset"),
    ("AssetFileDescriptor", "getDeclaredLength"),
    ("AssetFileDescriptor", "getLength"),
}
GENERIC_RESULTS = {"findViewById": "android.view.View"}
NUMBERS = {
    "java.jint": "int",
    "java.jlong": "long",
    "java.jfloat": "float",
    "java.jdouble": "double",
    "java.jboolean": "boolean",
    "java.jbyte": "byte",
    "java.jshort": "short",
    "java.jchar": "char",
}
PLAIN = {"str": "String", "int": "int", "bool": "boolean", "float": "float"}
ARRAYS = {
    f"java.chaquopy.JavaArrayJ{name.capitalize()}": f"{name}[]"
    for name in ("byte", "int", "float", "long", "char", "boolean", "double", "short")
}
OWN = ("android", "dalvik")
INHERITED = {
    *("getClass", "notify", "notifyAll", "wait", "hashCode", "equals"),
    *("toString", "clone", "finalize", "compareTo"),
}
# Packages of the JDK that differ from Android's, or that nothing here needs.
SKIPPED = re.compile(r"java\.(time|util\.function|util\.stream)\b|javax\.|org\.")

VARIABLE = re.compile(r"\b_\w+__[A-Z]\w*\b")
BOXED = {"int": "Integer", "bool": "Boolean", "float": "Float"}
JAVA_CLASS = re.compile(
    r"(Exception|Error|Throwable|Stream|Reader|Writer|Thread|Number|Object)$"
)


class Platform:
    """Android's classes as far as somebody asks for them."""

    def __init__(self, stubs):
        self._stubs = stubs
        self._packages = {}
        self.wanted = {}
        self.opaque = set()

    def want(self, name):
        """Declare a top-level class in full, and what it inherits from."""
        package, names = self._split(name)
        if package is None:
            raise KeyError(name)
        key = (package, names[0])
        if key in self.wanted:
            return
        node = self.wanted[key] = self._classes(package)[names[0]]
        for one in ast.walk(node):
            if not isinstance(one, ast.ClassDef):
                continue
            for base in one.bases:
                text = self._qualified(ast.unparse(base).split("[")[0], package)
                if text.startswith("android.") and self._split(text)[0]:
                    self.want(text)

    def write(self, folder):
        """Write a .java file a class."""
        files = {
            key: "\n".join(Declaration(self, *key, node).lines())
            for key, node in self.wanted.items()
        }
        while self.opaque:
            package, name = self.opaque.pop()
            if (package, name) not in files:
                node = self._classes(package)[name]
                files[package, name] = "\n".join(opaque(node))
        for (package, name), text in files.items():
            path = folder.joinpath(*package.split("."), f"{name}.java")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"package {package};\n{text}\n")

    def _qualified(self, name, package):
        first = name.split(".")[0]
        return name if first in (*OWN, "java", "javax", "org") else f"{package}.{name}"

    def resolve(self, name, package):
        """Give a class's Java name, or None where there is no such class."""
        full = self._qualified(name, package)
        if full.startswith("java.") and not SKIPPED.match(full):
            return full
        found, names = self._split(full)
        if found is None or not found.startswith(OWN):
            return None
        if (found, names[0]) not in self.wanted:
            self.opaque.add((found, names[0]))
        return full

    def is_wanted(self, name, package):
        found, names = self._split(self._qualified(name, package))
        return found is not None and (found, names[0]) in self.wanted

    def find(self, name, package):
        """Find a class's package and declaration, or None."""
        found, names = self._split(self._qualified(name, package))
        if found is None:
            return None
        node = self._classes(found)[names[0]]
        for part in names[1:]:
            inner = [n for n in node.body if isinstance(n, ast.ClassDef)]
            node = next(n for n in inner if n.name == part)
        return found, node

    def _split(self, name):
        parts = name.split(".")
        for end in range(len(parts) - 1, 0, -1):
            package = ".".join(parts[:end])
            if parts[end] in self._classes(package):
                return package, parts[end:]
        return None, ()

    def _classes(self, package):
        if package not in self._packages:
            first, *rest = package.split(".")
            path = self._stubs.joinpath(f"{first}-stubs", *rest, "__init__.pyi")
            body = ast.parse(path.read_text()).body if path.is_file() else []
            found = {n.name: n for n in body if isinstance(n, ast.ClassDef)}
            self._packages[package] = found
        return self._packages[package]


class Declaration:
    """One class as Java, with the classes in it.

    Java sources are only read by Kotlin's compiler, not compiled, so nothing needs a
    body and no interface needs to be implemented.
    """

    def __init__(self, platform, package, name, node, variables=frozenset()):
        self._platform = platform
        self._package = package
        self._name = name
        self._node = node
        self._own = self._class_variables()
        self._variables = variables | set(self._own)

    def lines(self, static=""):
        if any(ast.unparse(b).startswith("java.lang.Enum") for b in self._node.bases):
            constants = [
                one.target.id
                for one in self._node.body
                if isinstance(one, ast.AnnAssign) and self._name in ast.unparse(one)
            ]
            yield f"public {static}enum {self._node.name} {{ {', '.join(constants)} }}"
            return
        if any("annotation.Annotation" in ast.unparse(b) for b in self._node.bases):
            yield f"public {static}@interface {self._node.name} {{ String[] value(); }}"
            return
        yield self._header(static)
        for one in self._node.body:
            if isinstance(one, ast.AnnAssign):
                yield from self._field(one)
            elif isinstance(one, ast.ClassDef):
                name = f"{self._name}.{one.name}"
                inner = (self._platform, self._package, name, one, self._variables)
                yield from Declaration(*inner).lines("static ")
        seen = set()
        for method in methods(self._node):
            yield from self._method(method, seen)
        yield "}"

    def _class_variables(self):
        for base in self._node.bases:
            if ast.unparse(base).startswith("typing.Generic["):
                return VARIABLE.findall(ast.unparse(base))
        return []

    def _header(self, static):
        interface = is_interface(self._node, self._package, self._platform)
        extended, implemented = [], []
        for base in self._node.bases:
            text = ast.unparse(base)
            if text.startswith(("typing.", "java.lang.Object")):
                continue
            name = self._type(base)
            if name is None:
                continue
            plain = text.split("[")[0]
            if plain.startswith("java."):
                is_class = bool(JAVA_CLASS.search(plain))
            else:
                package, node = self._platform.find(plain, self._package)
                is_class = not is_interface(node, package, self._platform)
            (extended if is_class and not interface else implemented).append(name)
        kind = "interface" if interface else "class"
        variables = f"<{', '.join(self._own)}>" if self._own else ""
        text = f"public {static}{kind} {self._node.name}{variables}"
        if extended:
            text += f" extends {extended[0]}"
        if implemented:
            word = "extends" if interface else "implements"
            text += f" {word} {', '.join(implemented)}"
        return f"{text} {{"

    def _field(self, one):
        annotation = one.annotation
        static = ""
        if ast.unparse(annotation).startswith("typing.ClassVar["):
            annotation, static = annotation.slice, "static "
        found = self._type(annotation)
        if found and found != "void":
            yield f"public {static}{found} {one.target.id.rstrip('_')};"

    def _method(self, method, seen):
        types = [self._type(one.annotation) for one in parameters(method)]
        if method.args.vararg:
            rest = self._type(method.args.vararg.annotation)
            types.append(rest and f"{rest}...")
        key = (method.name, tuple(types))
        if None in types or key in seen or method.name in INHERITED:
            return
        seen.add(key)
        given = ", ".join(f"{text} a{number}" for number, text in enumerate(types))
        if method.name == "__init__":
            yield f"public {self._node.name}({given}) {{}}"
            return
        result = self._result(method)
        if method.name.startswith("__") or result is None:
            return
        words = ["public"]
        if decorated(method, "staticmethod"):
            words.append("static")
        elif (
            is_interface(self._node, self._package, self._platform)
            and parameters(method)
            and not is_abstract(method)
        ):
            words.append("default")
        free = set(VARIABLE.findall(f"{given} {result}")) - self._variables
        generic = [f"<{', '.join(sorted(free))}>"] if free else []
        bound = GENERIC_RESULTS.get(method.name)
        if bound and result.endswith("View"):
            generic, result = [f"<T extends {bound}>"], "T"
        null = ["@org.jetbrains.annotations.Nullable"] if is_nullable(method) else []
        start = " ".join([*null, *words, *generic, result])
        body = ";" if "default" not in words else " { throw new Error(); }"
        yield f"{start} {method.name.rstrip('_')}({given}){body}"

    def _result(self, method):
        found = self._type(method.returns)
        simple = self._node.name
        return "long" if (simple, method.name) in LONG_RESULTS else found

    def _type(self, annotation, boxed=False):
        """Give the Java type of an annotation, or None where there is none here."""
        parts = alternatives(annotation)
        for part in parts:
            if ast.unparse(part) in NUMBERS and not boxed:
                return NUMBERS[ast.unparse(part)]
        parts = [part for part in parts if ast.unparse(part) != "None"]
        if not parts:
            return "void"
        full = [part for part in parts if ast.unparse(part) not in PLAIN]
        part = (full or parts)[0]
        text = ast.unparse(part)
        if text in PLAIN:
            return BOXED.get(text, "String") if boxed else PLAIN[text]
        if text in ARRAYS:
            return ARRAYS[text]
        if text == "typing.Any":
            return "Object"
        if isinstance(part, ast.Subscript):
            return self._generic(part)
        if VARIABLE.fullmatch(text):
            return text
        if text.startswith("typing."):
            return None
        return self._platform.resolve(text, self._package)

    def _generic(self, part):
        name = ast.unparse(part.value)
        given = part.slice.elts if isinstance(part.slice, ast.Tuple) else [part.slice]
        if name == "java.chaquopy.JavaArray":
            element = self._type(given[0])
            return element and f"{element}[]"
        types = [self._type(one, boxed=True) for one in given]
        if name == "typing.Type":
            return (
                "Class<?>" if types[0] == "java.lang.Object" else f"Class<{types[0]}>"
            )
        full = self._platform.resolve(name, self._package)
        if full is None:
            return None
        known = full.startswith("java.") or self._platform.is_wanted(
            name, self._package
        )
        return f"{full}<{', '.join(types)}>" if known and None not in types else full


def alternatives(annotation):
    """Take `A | B | None` apart."""
    if isinstance(annotation, ast.BinOp):
        return alternatives(annotation.left) + alternatives(annotation.right)
    return [annotation]


def is_nullable(method):
    parts = [ast.unparse(one) for one in alternatives(method.returns)]
    return len(parts) > 1 and "None" in parts


def opaque(node, static=""):
    """Declare a class and the classes in it, without anything else."""
    yield f"public {static}class {node.name} {{"
    for inner in node.body:
        if isinstance(inner, ast.ClassDef):
            yield from opaque(inner, "static ")
    yield "}"


def methods(node):
    return [one for one in node.body if isinstance(one, ast.FunctionDef)]


def decorated(method, name):
    return any(ast.unparse(one) == name for one in method.decorator_list)


def parameters(method):
    given = method.args.posonlyargs + method.args.args
    return given if decorated(method, "staticmethod") else given[1:]


def is_abstract(method):
    return all(re.fullmatch(r"arg\d+", one.arg) for one in parameters(method))


def is_interface(node, package, platform):
    """Whether a class is an interface: no constructor, and abstract methods."""
    own = methods(node)
    if any(one.name == "__init__" for one in own):
        return False
    for base in node.bases:
        name = ast.unparse(base).split("[")[0]
        if name in ("java.lang.Object", "typing.Generic"):
            continue
        if name.startswith("java."):
            if JAVA_CLASS.search(name):
                return False
            continue
        above = platform.find(name, package)
        if above is None or not is_interface(above[1], above[0], platform):
            return False
    return any(
        parameters(one) and is_abstract(one) and not decorated(one, "staticmethod")
        for one in own
    )

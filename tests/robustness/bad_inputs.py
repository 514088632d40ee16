"""Inputs that dsx rejects with one line that describes the problem, and without any effect."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

SPACE = """\
model: small_cnn
model_args: {width: 4}
data: digits
train: {epochs: 1, batch_size: 128}
measure: {batch: 1}
slots:
  - {match: "stages.*", kernel_shape: [full, cross]}
objectives: {params: minimize, flops: minimize}
constraints: {flops: "<= 80%"}
"""
LONG = "x" * 300
VERY_LONG = "x" * 100_000
ESCAPE = "a\x1b[31mred"
LINES = "a\nb"
PASSWORD = "s3cret"


@dataclass(frozen=True, kw_only=True)
class BadInput:
    """A call of dsx that is rejected.

    Args:
        words: Words of the command line, without the name of the program.
        match: Pattern that the line on stderr contains.
        files: Name to content of files in the working directory.
        environment: Environment variables of the process.
        code: Exit code.
    """

    words: Sequence[str]
    match: str = ""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    code: int = 2

    @property
    def name(self) -> str:
        """A short printable name of the case."""
        text = " ".join([*(f"{k}={v}" for k, v in self.environment.items()), *self.words])
        return ascii(f"{text} {list(self.files.values()) or ''}")[1:90]


def bad_inputs() -> list[BadInput]:
    """Collect all cases; their working directory contains a database with the study `static`."""
    kinds = [words, empty_values, numbers, study_names, storages, paths, names, dials, drafts]
    kinds += [yaml_texts, space_keys, net_arguments, data_arguments, user_code, variables]
    return [case for kind in kinds for case in kind()]


def words() -> Iterator[BadInput]:
    """Commands and options that do not exist."""
    for word in ("serach", LONG, ESCAPE, LINES, "\u202e", "-", "🦆", "search;ls", "\udcff"):
        yield BadInput(words=[word], match="command|option|argument")
    for command in ("search", "pareto", "export", "space", "measure", "ls", "doctor", "bench"):
        yield BadInput(words=[command, "--nonsense"], match="No such option: --nonsense")
    for option in (f"--{LONG}", f"--{ESCAPE}", f"--{LINES}", "--trial", "-x", "--trials", "--=x"):
        yield BadInput(words=["search", option], match="option|Option")
    for extra in (LONG, VERY_LONG, ESCAPE, LINES, f"postgresql://u:{PASSWORD}@h/d"):
        yield BadInput(words=["space", "digits", extra], match="unexpected extra argument")
    for extra in (f"postgresql://u:{PASSWORD}@h/d", f"u:{PASSWORD}@h", f"x?password={PASSWORD}"):
        yield BadInput(words=["ls", extra], match=r"unexpected extra argument.*\*\*\*")
    yield BadInput(words=["ls", f"postgresql://u:a {PASSWORD}/@{PASSWORD}@h/d"], match=r"\*\*\*@h")
    yield BadInput(words=["--debug=maybe", "ls"], match="--debug")
    yield BadInput(words=["ls", "--json=1"], match="--json")


def empty_values() -> Iterator[BadInput]:
    """Empty values, which usually come from unset shell variables."""
    options = {
        "search": ["--study", "--storage", "--trials", "--seed", "--timeout", "--format"],
        "pareto": ["--plot", "--x", "--y", "--storage", "--format"],
        "refine": ["--for", "--storage", "--format"],
        "archive": ["--out", "--storage"],
        "show": ["--pick", "--space", "--storage", "--format"],
        "dashboard": ["--port", "--storage"],
        "export": ["--pick", "--out", "--storage"],
        "space": ["--model", "--model-args", "--input", "--write"],
        "measure": ["--study", "--pick", "--metric", "--backend", "--batch", "--dtype"],
        "ls": ["--storage"],
        "doctor": ["--storage"],
    }
    for command, names in options.items():
        for name in names:
            yield BadInput(words=[command, name, ""], match=f"{name}: the value is empty")
    for command in ("search", "pareto", "export", "space", "measure", "bench"):
        yield BadInput(words=[command, ""], match="an argument: the value is empty")
    yield BadInput(words=["search", "--study="], match="--study: the value is empty")
    yield BadInput(words=["archive", "--out", "  "], match="--out: the value is empty")
    yield BadInput(words=[""], match="an argument: the value is empty")
    for name in ("DSX_STORAGE", "DSX_FORMAT", "DSX_TRIALS", "DSX_SEED"):
        yield BadInput(
            words=["search", "--trials", "1"],
            environment={name: ""},
            match=f"{name}: the value is empty",
        )


def numbers() -> Iterator[BadInput]:
    """Text that is not a number, and numbers out of range."""
    huge = str(10**30)
    for value in ("0", "-1", "1.5", "nan", "inf", "1e3", huge, "9" * 5000, "many", ESCAPE, "0x10"):
        yield BadInput(words=["search", "--trials", value], match="--trials")
    for value in ("-1", "1.5", "nan", huge, str(2**70), "seed", "9" * 5000):
        yield BadInput(words=["search", "--seed", value], match="--seed")
    times = ("-1", "0x1", "1e999", "nan", "inf", "5d", "9" * 400, "٣s", "1 m", "m", "1.5.2h", LONG)
    for value in times:
        yield BadInput(
            words=["search", "--timeout", value], match="--timeout: '.*' is not a duration"
        )
        yield BadInput(words=["refine", "--for", value], match="--for: '.*' is not a duration")
    for command in ("search", "refine", "measure"):
        for value in ("5d", "-1s", LONG):
            words = [command, "--storage-timeout", value]
            yield BadInput(words=words, match="--storage-timeout: '.*' is not a duration")
    for value in ("0", "-4", "1.5", huge, "x"):
        yield BadInput(words=["measure", "tiny.yaml", "--batch", value], match="--batch")
        yield BadInput(words=["measure", "tiny.yaml", "--threads", value], match="--threads")


def study_names() -> Iterator[BadInput]:
    """Invalid names of studies, in every command that takes one."""
    readers = (["pareto"], ["show"], ["archive"])
    commands = (["search", "--study"], *readers, ["export"], ["measure", "--study"])
    names = (
        LONG, VERY_LONG, "dsx.db", "x.lock", "dsx.db-wal", "a/b", "../up", ".", "..", ".hidden",
        LINES, ESCAPE, "a b", "naïve", "a\tb", "\u202ex", "名", "\udcff", "x:y",
    )  # fmt: skip
    for command in commands:
        for name in names:
            is_folder = "/" in name and command in readers
            match = "archived study" if is_folder else "invalid study name '.*' .allowed: "
            yield BadInput(words=[*command, name], match=match)
        yield BadInput(words=[*command, "-x"], match="option|invalid study name")
    for command in commands[1:]:
        yield BadInput(words=[*command, "statc"], match="no study called 'statc'.*'static'")


def storages() -> Iterator[BadInput]:
    """Invalid URLs of databases."""
    urls = {
        "x": "is not a database URL",
        LONG: r"is not a database URL",
        ESCAPE: r"'a\\x1b\[31mred' is not a database URL",
        LINES: r"'a\\nb' is not a database URL",
        "studies/dsx.db": "is not a database URL",
        "postgresql://u:p@h:notaport/d": "is not a database URL",
        "postgresql://u:p@h:99999999/d": "is not a database URL",
        f"postgresql://u:{PASSWORD}": "is not a database URL",
        f"postgresql://u:{PASSWORD}@h@x/d": "%40",
        f"postgresql://u:p@{PASSWORD}@h/d": "%40",
        f"postgresql:/u:{PASSWORD}@h/d": "is not a database URL",
        f"u:{PASSWORD}@h/d": "is not a database URL",
        f"postgresql//h/d?password={PASSWORD}": "is not a database URL",
        f"nosuchdb://u:{PASSWORD}@h/d": "nosuchdb",
        "nosuchdb://h/d": "nosuchdb",
        "sqlite+nosuch:///x.db": "nosuch",
        "sqlite:///missing.db": "no database",
        "sqlite:////missing/folder/x.db": "no database",
        "sqlite:///studies": "folder",
        "sqlite:////dev/null": "",
        f"sqlite:///{LONG}.db": "",
        f"sqlite:///{'x/' * 3000}x.db": "",
        "sqlite:///static.yaml": "",
        f"sqlite:///{ESCAPE}.db": "no database",
        f"sqlite:///missing.db?password={PASSWORD}": "no database",
        "mysql://": "",
        "://": "is not a database URL",
        "postgresql+psycopg://u:p@h:5432/d?nonsense=1": "",
        f"postgresql+psycopg://u:{PASSWORD}@127.0.0.1:1/d": r"\*\*\*@127",
        f"postgresql+psycopg://u@127.0.0.1:1/d?password={PASSWORD}": r"password=\*\*\*",
        f"postgresql+psycopg://u:a/{PASSWORD}/@127.0.0.1:1/d": r"\*\*\*@127",
    }
    for url, match in urls.items():
        text = {"static.yaml": SPACE} if "static.yaml" in url else {}
        yield BadInput(words=["ls", "--storage", url], match=match, files=text)
    for command in (["pareto"], ["export", "--out", "new"], ["measure", "--pick", "knee"]):
        yield BadInput(words=[*command, "--storage", "sqlite:///no.db"], match="no database")
        yield BadInput(words=[*command, "--storage", "postgresql://h:notaport/d"], match="URL")
    for url in ("x", "postgresql://h:notaport/d", "sqlite:///studies", "nosuchdb://h/d"):
        yield BadInput(words=["search", "--storage", url])
    yield BadInput(words=["ls"], environment={"DSX_STORAGE": f"u:{PASSWORD}@h"}, match=r"\*\*\*@h")


def paths() -> Iterator[BadInput]:
    """Files and folders that cannot be read or written."""
    places = (
        "missing.yaml",
        f"{LONG}.yaml",
        f"{'x/' * 3000}a.yaml",
        f"{ESCAPE}.yaml",
        "\udcff.yaml",
    )
    for command in ("search", "space", "measure"):
        for place in (*places, "/dev/null.yaml", "studies.yaml/", "digit", LONG, ESCAPE, LINES):
            yield BadInput(words=[command, place], match="no such file|no search space|too long")
    yield BadInput(words=["space", "link.yaml"], match="no such file")
    for place in ("front.txt", "front", "studies", "no/such/front.html", f"{LONG}.html"):
        yield BadInput(
            words=["pareto", "--plot", place],
            match="no plot format|--plot: '.*' cannot be written: ",
        )
    yield BadInput(words=["pareto", "--plot", f"{'x/' * 3000}a.html"], match="--plot")
    for place in ("/dev/null", "/dev/null/x", LONG, "x/" * 3000, "/proc/1/nothing"):
        yield BadInput(words=["archive", "--out", place], match="--out|archive folder")
        yield BadInput(words=["export", "--out", place], match="--out")
    yield BadInput(words=["export", "--out", "."], match="--out")
    for place in ("x", "x.txt", "studies", "/dev/null", f"{LONG}.yaml", "no/such.yaml", "a.yaml"):
        files = {"a.yaml": "mine"}
        yield BadInput(
            words=["space", "tiny.yaml", "--write", place], match="--write: '", files=files
        )


def names() -> Iterator[BadInput]:
    """Designs, metrics, formats and backends that do not exist."""
    for pick in ("best", "#99", "#-1", "#", "ffff", "f", LONG, ESCAPE, LINES, "kne", "0" * 64):
        yield BadInput(words=["export", "--pick", pick], match="no design called")
        yield BadInput(words=["measure", "--pick", pick], match="no design called")
    for name in ("latency_ms", "parms", LONG, ESCAPE, LINES, "os:system"):
        yield BadInput(words=["pareto", "--x", name], match="metric|objective|number")
        yield BadInput(words=["pareto", "--y", name])
    for command in ("search", "pareto", "ls", "space", "doctor"):
        for name in ("jsn", LONG, ESCAPE):
            yield BadInput(words=[command, "--format", name], match="--format")
    for name in ("latency", LONG, ESCAPE, LINES, "os:system", "nowhere:METRIC", "a.b", ":", "os:"):
        yield BadInput(words=["measure", "tiny.yaml", "--metric", name])
    for name in ("nosuch", LONG, ESCAPE, "os:system"):
        yield BadInput(words=["measure", "tiny.yaml", "--backend", name])
        yield BadInput(words=["bench", name])
    yield BadInput(words=["measure", "tiny.yaml", "--dtype", "int8"], match="--dtype")
    yield BadInput(words=["measure", "tiny.yaml", "--device", "tpu"], match="--device")


def dials() -> Iterator[BadInput]:
    """Settings of dials that are invalid, or not possible in their slot."""
    settings = (
        "=", "=keep", "stages=", "stages=nothing", "nowhere=keep", "stages.*=keep,groups:2",
        "stages=groups", "stages=groups:", "stages=groups:0", "stages=groups:-1", "stages=groups:3",
        "stages=groups:1e3", f"stages=groups:{10**30}", "stages=groups:1:30", "stages=groups:010x",
        "stages=groups:nan", "stages=kernel_shape:cros", "stages=kernel_shape:[", "stages=scc(",
        "stages=kernel_shape:!!python/name:os.system", "stages=kernel_shape:\x00x",
        f"stages=kernel_shape:{'[' * 2000}", "stages=scc,groups:2,groups:2", "stages=scc(groups=x)",
        f"stages={LONG}", f"{LONG}=keep", f"{ESCAPE}=keep", f"stages={ESCAPE}", f"stages={LINES}",
        "stages=density:2", "stages=binary_basis:-1", "stages=channel_stride:2", "[=keep",
        "stages=kernel_shape:&a [*a]", "stages=groups:{a: b}", "stages=rigid:yes",
    )  # fmt: skip
    for setting in settings:
        if "\x00" not in setting:
            yield BadInput(words=["measure", "tiny.yaml", setting])
    yield BadInput(words=["measure", "tiny.yaml", "digits"])


def drafts() -> Iterator[BadInput]:
    """Networks whose slots cannot be listed."""

    def model(name: str, *more: str, match: str = "") -> BadInput:
        return BadInput(words=["space", "--model", name, *more], match=match)

    for name in ("nothing", "resnet", LONG, ESCAPE, LINES, ":", "a:", ":a", "os:", "os:nothing"):
        yield model(name)
    for name in (
        "os:sep",
        "os:getcwd",
        "nowhere.at.all:x",
        ".x:y",
        "a b:c",
        "os.path:join",
        "x/y:z",
    ):
        yield model(name, "--input", "3x8x8")
    inputs = ("0x8x8", "3x8", "3x8x8x8", "-3x8x8", "axbxc", "3x99999x99999", LONG, ESCAPE, "٣x8x8")
    for shape in inputs:
        yield model("small_cnn", "--input", shape, match="--input: '")
    texts = (
        "[", "{", "x", "1", "[1]", "null", "{a: 1, a: 2}", "{1: 2}", "{width: !!int 4}", "a: b: c",
        "{width: *a}", "{width: &a [*a]}", "[" * 1200, "{a: " * 1200, VERY_LONG, "{width: 1\x1b}",
        "{width: 2024-01-01}", "{width: .nan}", "{width: 1_000}", "{width: 0}", "{width: -1}",
        "{width: 1.5}", "{width: true}", "{width: '4'}", f"{{width: {10**30}}}", "{width: 1000000}",
        f"{{width: {'9' * 5000}}}", "{wdth: 4}", "{classes: 0}", "{classes: null}", "{width: [4]}",
        "{in_channels: 0}", "{classes: 1e3}", f"{{{LONG}: 1}}", '{"\\e[31m": 1}', "{width: 65536}",
    )  # fmt: skip
    for text in texts:
        yield model("small_cnn", "--model-args", text)
    yield BadInput(words=["space", "digits", "--model", "small_cnn"], match="--model: .*twice")
    yield BadInput(words=["space", "--input", "3x8x8"], match="--model")
    yield model("small_cnn", "--model-args", "{in_channels: 3}", match="input|run")


def yaml_texts() -> Iterator[BadInput]:
    """Files that are not YAML, or YAML that dsx does not support."""

    def text(content: str | bytes, match: str = "") -> BadInput:
        return BadInput(words=["space", "my.yaml"], match=match, files={"my.yaml": content})

    letters = "abcdefghi"
    bomb = f"a: &a [{'lol,' * 9}]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
        for before, name in itertools.pairwise(letters)
    )
    chain = (
        "a0: &a0 [" * 1
        + "[" * 40
        + "]" * 40
        + "]\n"
        + "".join(f"a{n}: &a{n} {'[' * 40}*a{n - 1}{']' * 40}\n" for n in range(1, 40))
    )
    yield text(bomb, "aliases")
    yield text(bomb.replace("[*", "[ *").replace("[", "{<<: [").replace("]", "]}"), "")
    yield text(chain, "nested more than")
    for opening in ("[", "{a: ", "- ", "? ", "{? ", "[["):
        yield text(opening * 1200, "my.yaml:1:[0-9]+: nested more than")
    tags = (
        "timestamp x",
        "binary x",
        "set {a}",
        "omap [a: b]",
        "python/name:os.system ''",
        "int 3",
    )
    for tag in (*tags, "python/object/apply:os.system [ls]", "float .x", "null x", "bool maybe"):
        yield text(f"model: !!{tag}", r"my.yaml:1:8: tags such as '.*' are not supported")
    yield text("model: !own x", "my.yaml:1:8: tags")
    broken = (
        "a: [1, 2\nb: c", "a:\tb\n\tc: d", "a: 1\n---\nb: 1", "a: *b", "a: b: c", "'", '"', "a: 'b",
        "a: \"\\q\"", "%YAML 9.9\n---\na: 1", "%TAG\n---\n", "@", "`", "a: |x", "- a\nb: c", "}",
        "&a &b c", "a: 1\n b: 2", '"\\ud800": 1', "a: !<", "? ? ?\n:", "a: >9z\n b", "--- x: y: z",
        f"a: *{LONG}", f"%{LONG}\n---\n", f"a: [{LONG}\n{LONG}: ]b",
    )  # fmt: skip
    for content in broken:
        yield text(content, "my.yaml:[0-9]+:")
    for control in ("\x00", "\x1b", "\x07", "\x7f", "\ufffe", "\x9b"):
        yield text(f"model: a{control}", r"my.yaml:1:9: not YAML: the character '\\")
    yield text(SPACE.encode("utf-16"), "UTF-8")
    yield text(b"\xff\xfe\x00\x01", "UTF-8")
    yield text(SPACE.encode() + b"# \xe9", "UTF-8")
    yield text(f"# {'x' * 1_000_000}", "too many|too large")
    yield text("x: y\n" * 10, "duplicate key")
    for content in ("", "# nothing", "[]", "1", "null", "text", "---", "- a", "~", "\ufeff"):
        yield text(content, "not a search space")
    for key in ("1", "null", "true", "1.5", "[a]", "{a: b}", ".inf", "~"):
        yield text(f"? {key}\n: 1", "key must be a string")
    for value in ("9" * 30, "9" * 5000, f"-{'9' * 30}", "1e999", "-1e999", f"0x{'f' * 30}"):
        yield text(f"model: {value}", "out of range")


def space_keys() -> Iterator[BadInput]:
    """Space files with an invalid key or value."""

    def space(old: str, new: str, match: str = "") -> BadInput:
        assert SPACE.count(old) == 1, old
        files = {"my.yaml": SPACE.replace(old, new)}
        return BadInput(words=["search", "my.yaml"], match=match or "^my.yaml:", files=files)

    for value in ("1:30", "yes", "010x", "1_000", "2024-01-01", "=", "0", "-1", "1.5", "true", "~"):
        yield space("batch: 1}", f"batch: {value}}}", "my.yaml:5: measure.batch: ")
    for value in ("[1]", "{a: 1}", "''", ".nan", ".inf", "1e18", "9223372036854775807", LONG):
        yield space("batch: 1}", f"batch: {value}}}", "my.yaml:5: measure.batch: ")
    for value in ("0", "-1", "1.5", "a", "yes", ".inf", "9223372036854775807"):
        yield space("epochs: 1", f"epochs: {value}", "my.yaml:4: train.epochs: ")
        yield space("batch_size: 128", f"batch_size: {value}", "my.yaml:4: train.batch_size: ")
    train = {
        "learning_rate": ("0", "-1", ".nan", ".inf", "x", "1e309"),
        "seed": ("-1", "1.5", "9223372036854775808"),
        "momentum": ("1", "-1", ".nan", "~"),
        "optimizer": ("adam", "1", LONG, '"\\e[31m"', '"a\\nb"'),
        "augment": ("1", "{crop: 99}", "{flip: yes}", "{nothing: 1}", "{crop: -1}"),
        "accumulate": ("0", "1000"),
        "label_smoothing": ("1", ".nan"),
        "compile": ("on", "1", "'true'"),
        "nothing": ("1",),
    }
    for key, values in train.items():
        for value in values:
            yield space("epochs: 1,", f"epochs: 1, {key}: {value},", "^my.yaml:4:")
    measure = {
        "dtype": ("int8", "1", LONG), "threads": ("0", "5000", "1.5"), "device": ("tpu",),
        "budget_seconds": ("0", ".inf", "-1"), "target_width": ("0", "1", ".nan"),
        "backend": ("nothing", '"\\e[31m"', "''"), "deploy": ("maybe",), "cuda_graph": ("no",),
    }  # fmt: skip
    for key, values in measure.items():
        for value in values:
            yield space("batch: 1}", f"batch: 1, {key}: {value}}}", "^my.yaml:5:")
    for value in (
        "'<= x%'",
        "80%",
        "'<= 1e999'",
        "1",
        "'<= -1'",
        "{a: b}",
        f"'{LONG}'",
        '"\\e[31m"',
    ):
        yield space('flops: "<= 80%"', f"flops: {value}", "my.yaml:9: constraints.flops: ")
    yield space('flops: "<= 80%"', 'nothing: "<= 80%"', "nothing")
    for value in ("minimise", "1", "[]", "~", '"\\e[31m"'):
        yield space("flops: minimize", f"flops: {value}", "my.yaml:8: objectives.flops: ")
    for name in ("nothing", f'"{LONG}"', '"\\e[31m"', "'os:system'", "'a:b'", "''", '"a\\nb"'):
        yield space("flops: minimize", f"{name}: minimize", "my.yaml:8: |no metric|import")
    for name in ("nothing", '"\\e[31m"', "1", "''", "[]", "'a:b'", f"'{LONG}'", '"a\\0b"', "'..'"):
        yield space("model: small_cnn", f"model: {name}", "my.yaml:1: model: ")
        yield space("data: digits", f"data: {name}", "my.yaml:3: data: ")
    for rule in (
        "{}",
        "1",
        "{match: 1}",
        "{match: x, nothing: 1}",
        "{match: nothing}",
        "{match: ''}",
    ):
        yield space('{match: "stages.*", kernel_shape: [full, cross]}', rule, "^my.yaml:7: slots")
    shapes = ("cros", "[]", "1", "{a: b}", "keep", "~", LONG, '"\\e[31m"', "het", "het0", "lines99")
    for value in shapes:
        yield space("[full, cross]", value, "^my.yaml:7: slots.0.kernel_shape")
    for value in ("0", "-1", "3.5", "x", "[1, 1.5]", "9223372036854775807", "1:30"):
        yield space("kernel_shape: [full, cross]", f"groups: {value}", "^my.yaml:7: slots.0")
    files = ("''", "nowhere.pt", f"{LONG}.pt", "~nobody-at-all/a.pt", '"a\\0b"', '"\\e[31m"')
    for value in (*files, "{skip: x}", "1", "[a.pt]"):
        yield space("data: digits", f"data: digits\nweights: {value}", "^my.yaml:4: weights")


def net_arguments() -> Iterator[BadInput]:
    """Arguments that a network of dsx does not accept."""
    nets = ("resnet18", "vgg11", "mobilenet_v1", "mobilenet_v2", "small_cnn")
    values = ("0", "-1", "1.5", "'10'", "true", "~", "[10]", "99999999999")
    for net in nets:
        for value in values:
            yield _network(net, f"{{classes: {value}}}", "classes: .* does not fit")
        yield _network(net, "{nothing: 1}", f"no argument of {net} called 'nothing'")
        yield _network(net, "{in_channels: 0}", "in_channels")
    yield _network("resnet18", "{small: 1}", "small")
    yield _network("vgg11", "{batch_norm: maybe}", "batch_norm")
    yield _network("mobilenet_v1", "{depthwise_bias: yes}", "depthwise_bias")
    yield _network("small_cnn", "{width: 60000}", "width|weights")
    yield _network("small_cnn", f"{{{LONG}: 1}}", "no argument of small_cnn called")
    yield _network("small_cnn", "[1]", "my.yaml:2: model_args")
    yield _network("small_cnn", "{width: 2024-01-01}", "width")
    yield _network("small_cnn", "{width: .nan}", "model_args")


def _network(net: str, arguments: str, match: str) -> BadInput:
    text = SPACE.replace("small_cnn", net).replace("{width: 4}", arguments)
    return BadInput(words=["search", "my.yaml"], match=match, files={"my.yaml": text})


def data_arguments() -> Iterator[BadInput]:
    """Arguments that a dataset does not accept, and files that are not data."""
    sets = {
        "digits": ("{nothing: 1}", "[1]", "1", "{root: x}"),
        "cifar10": ("{root: 1}", "{root: ''}", '{root: "a\\0b"}'),
        "folder": ("{}", "{root: nowhere}", "{root: 1}", f"{{root: {LONG}}}", '{root: "\\e[31m"}'),
        "parquet": ("{}", "{root: nowhere}", "{root: [1]}", "{root: ~}"),
    }
    for name, arguments in sets.items():
        for value in arguments:
            text = SPACE.replace("data: digits", f"data: {name}\ndata_args: {value}")
            text = text.replace("{width: 4}", "{width: 4, in_channels: 3}")
            yield BadInput(
                words=["search", "my.yaml"], match="^my.yaml:4: data", files={"my.yaml": text}
            )


def user_code() -> Iterator[BadInput]:
    """Faulty networks of users."""
    bodies = {
        "raise ValueError('x\\x1b[31m\\ny' * 1000)": "ValueError",
        "raise SystemExit(0)": "SystemExit",
        "return 1": "not a nn.Module",
        "return None": "not a nn.Module",
        "return torch.nn.Identity()": "weight",
        "return 1 / 0": "ZeroDivisionError",
        "import nowhere_at_all": "nowhere_at_all",
        "return torch.nn.Linear(3, 4)": "run|slots|numbers",
        "return torch.nn.Conv2d(1, 10, 3)": "numbers",
        "f(*a, **k)": "RecursionError",
    }
    for body, match in bodies.items():
        code = f"import torch\ndef f(*a, **k):\n    {body}\n"
        text = SPACE.replace("model: small_cnn", "model: 'own:f'")
        files = {"own.py": code, "my.yaml": text}
        yield BadInput(words=["search", "my.yaml"], match=match, files=files)
    for code in (
        "raise ValueError('\\x1b[31m' * 1000)",
        "raise SystemExit",
        "(",
        "\x00",
        "import x.y",
    ):
        files = {"own.py": code, "my.yaml": SPACE.replace("model: small_cnn", "model: 'own:f'")}
        yield BadInput(words=["space", "my.yaml"], match="own", files=files)
        yield BadInput(words=["space", "--model", "own:f", "--input", "1x8x8"], files=files)


def variables() -> Iterator[BadInput]:
    """Environment variables with values that their option would reject."""
    values = {
        "DSX_TRIALS": ("many", "0", "-1", "1.5", str(10**30), ESCAPE, LONG),
        "DSX_SEED": ("x", "-1", str(2**70)),
        "DSX_FORMAT": ("jsn", LONG, ESCAPE),
        "DSX_STORAGE": ("x", "postgresql://h:notaport/d", "sqlite:///no.db", " "),
        "DSX_DEBUG": ("maybe", ESCAPE),
    }
    for name, wrong in values.items():
        for value in wrong:
            command = "ls" if name == "DSX_STORAGE" else "search"
            match = "" if name == "DSX_STORAGE" and value == "sqlite:///no.db" else name
            yield BadInput(words=[command], environment={name: value}, match=match)

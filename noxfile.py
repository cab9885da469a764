"""The tasks of a developer: each session installs what it needs and calls scripts and tools.

``nox -s wheel`` makes, repairs and verifies a wheel, ``nox -s tests`` tests it, and ``nox -s lint``
runs the linters. ``nox -l`` lists all sessions.
"""

import shutil
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
REQUIREMENTS = ROOT / "requirements"
SCRIPTS = ROOT / "scripts"
WHEELKIT = ROOT / "wheelkit"
# The requirements of wheelkit, and the build back end with which pip installs it from its folder.
TOOLS = WHEELKIT / "src" / "wheelkit" / "requirements.txt"

# Prints the tag of the interpreter, as wheels have it.
PRINT_TAG = ("python", "-c", "import sys; print('cp%d%d' % sys.version_info[:2])")

nox.options.sessions = ["lint", "wheel", "tests"]
# Environments are kept between runs; pip installs only the requirements that have changed.
nox.options.reuse_venv = "yes"


def install(session: nox.Session, *files: Path) -> None:
    """Install hash-pinned requirements."""
    listed = [f"--requirement={file}" for file in files]
    pip = ("python", "-m", "pip", "install", "--require-hashes", "--only-binary=:all:", *listed)
    step(session, "install what the session needs", *pip)


def step(session: nox.Session, title: str, *command: str | Path) -> None:
    """Run a long command; show a title and the seconds instead of what it prints."""
    session.run("python", SCRIPTS / "shared" / "steps.py", "--quiet", title, "--", *command)


def install_wheelkit(session: nox.Session, *files: Path) -> None:
    """Install wheelkit from its folder, and hash-pinned requirements that list what it needs."""
    arguments = (SCRIPTS, "install-wheelkit", *files)
    step(session, "install what the session needs", "python", *map(str, arguments))


def sources(*patterns: str) -> list[str]:
    """Return the files that match the patterns.

    Raises
    ------
    FileNotFoundError
        A pattern matches no file, so that a linter would check nothing.
    """
    found = {pattern: sorted(map(str, ROOT.glob(pattern))) for pattern in patterns}
    empty = [pattern for pattern, files in found.items() if not files]
    if empty:
        raise FileNotFoundError(f"no file matches {', '.join(empty)}; correct noxfile.py")
    return [file for files in found.values() for file in files]


@nox.session
def wheel(session: nox.Session) -> None:
    """Build, repair, verify and smoke-test wheels: -- --python 3.7 --python 3.10."""
    install_wheelkit(session, TOOLS)
    session.run("python", SCRIPTS, "wheel", *session.posargs)


@nox.session(default=False)
def wheelhouse(session: nox.Session) -> None:
    """Build the release wheels with cibuildwheel in a container: -- --python 3.7 --out DIR."""
    install_wheelkit(session, TOOLS)
    # An interrupted run needs the time to remove its containers; nox kills it otherwise.
    command: list[str | Path] = ["python", SCRIPTS, "wheelhouse", *session.posargs]
    session.run(*command, interrupt_timeout=90, terminate_timeout=90)


@nox.session
def tests(session: nox.Session) -> None:
    """Test the repaired wheel of this interpreter; arguments after -- go to pytest."""
    install_wheelkit(session, TOOLS)
    session.run("python", SCRIPTS, "tests", *session.posargs)


@nox.session(default=False)
def compat(session: nox.Session) -> None:
    """Test the wheels of other interpreters: -- 3.7 3.13."""
    install_wheelkit(session, TOOLS)
    if not session.posargs:
        session.error("name the interpreters: nox -s compat -- 3.7 3.13")
    for version in session.posargs:
        session.run("python", SCRIPTS, "tests", "--python", version)


@nox.session(default=False)
def mutants(session: nox.Session) -> None:
    """Show which changes of the sources no test notices: -- wheelkit/src/wheelkit/repair."""
    install_wheelkit(session, REQUIREMENTS / "rehearse.txt")
    install(session, REQUIREMENTS / "tests.txt")
    # The package is tested as it is installed; for all other sources, no wheel is needed.
    python = session.run(*PRINT_TAG, silent=True)
    for found in sorted((ROOT / "wheelhouse").glob(f"*-{str(python).strip()}-*.whl")):
        session.install("--no-deps", "--force-reinstall", str(found))
    session.run("python", SCRIPTS, "mutants", *session.posargs)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Run the code of the documentation and build it into build/docs; -- --look tests the pages."""
    install_wheelkit(session, REQUIREMENTS / "docs.txt")
    session.run("python", SCRIPTS, "docs", *session.posargs)


@nox.session(default=False)
def sanitize(session: nox.Session) -> None:
    """Test the CPU back end and the text extension with AddressSanitizer and UBSan."""
    install(session, REQUIREMENTS / "tests.txt")
    toolkit = ROOT / "build" / "cuda"
    session.run("python", SCRIPTS / "kernels" / "install_cuda.py", toolkit)
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
    # The device code is not tested here, so it is compiled for one architecture only.
    options = ("-C", "cmake.define.CUFES_SASS=90", "-C", "install.strip=false")
    session.install("--no-deps", *options, ".", env={"CXXFLAGS": flags, "CUDA_HOME": str(toolkit)})
    runtimes = [
        str(session.run("gcc", f"-print-file-name={name}.so", external=True, silent=True)).strip()
        for name in ("libasan", "libubsan")
    ]
    tests = ["sums/test_plans", "sums/test_sums", "sums/test_boxes", "sums/test_reweighting"]
    tests += ["native/test_wrapper", "native/test_text", "io/test_column_files"]
    tests += ["cyfes45/test_path_fes", "cyfes45/test_drop_in"]
    files = [ROOT / "tests" / f"{name}.py" for name in tests]
    session.chdir(session.create_tmp())
    # Python is not built with the sanitizers: their libraries must be loaded first, and leaks of
    # Python itself are not reported.
    environment = {"LD_PRELOAD": " ".join(runtimes), "ASAN_OPTIONS": "detect_leaks=0"}
    session.run("pytest", "-c", ROOT / "pyproject.toml", "--rootdir", ROOT, *files, env=environment)


@nox.session(default=False)
def tsan(session: nox.Session) -> None:
    """Test what threads share with ThreadSanitizer; arguments after -- go to pytest."""
    install_wheelkit(session, TOOLS)
    session.run("python", SCRIPTS, "thread-sanitizer", *session.posargs)


@nox.session(default=False)
def aarch64(session: nox.Session) -> None:
    """Build wheels for aarch64, and try them under an emulator, as root: -- --python 3.13."""
    install_wheelkit(session, TOOLS)
    session.run("python", SCRIPTS, "emulated-aarch64", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Time sums of cyfes and of comparable programs: -- --long --repeats 5."""
    toolkit = ROOT / "build" / "cuda"
    session.run("python", SCRIPTS / "kernels" / "install_cuda.py", toolkit)
    # Only the CPU is timed, so the device code is compiled for one architecture only.
    options = ("-C", "cmake.define.CUFES_SASS=90")
    session.install(*options, ".", env={"CUDA_HOME": str(toolkit)})
    # The newest version of each comparable program, which a user gets today. PLUMED is timed if it
    # is on PATH.
    session.install("finufft", "metadynminer", "pykeops")
    program = ROOT / "benchmarks" / "sums.py"
    session.chdir(session.create_tmp())
    session.run("python", program, *session.posargs)
    if not session.posargs:
        picture = ROOT / "benchmarks" / "growth.svg"
        session.run("python", program, "--growth=12", "--repeats=3", f"--svg={picture}")


@nox.session
def lint(session: nox.Session) -> None:
    """Check the sources: style, types, imports, Cython, C++ layout, shell and workflows."""
    install(session, REQUIREMENTS / "lint.txt")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    step(session, "check the types", "mypy")
    step(session, "check the order of imports", "lint-imports", "--no-cache")
    cython = [f"cyfes/native/*.{suffix}" for suffix in ("pyx", "pxd", "pxi")]
    session.run("cython-lint", *sources(*cython))
    kernels = ("cyfes/kernels/*.c*", "cyfes/kernels/*.h*", "cyfes/kernels/include/*.*h")
    text = ("cyfes/text/*.cpp", "cyfes/text/*.hpp")
    session.run("clang-format", "--dry-run", "-Werror", *sources(*kernels, *text))
    session.run("shellcheck", ROOT / ".ci" / "run")
    pages = ("*.md", "docs/*.md", "docs/pipeline/*.md", "wheelkit/*.md", "benchmarks/*.md")
    python = (
        "cyfes/**/*.py",
        "wheelkit/src/**/*.py",
        "scripts/*.py",
        "scripts/*/*.py",
        "docs/*.py",
    )
    session.run("python", SCRIPTS / "develop" / "plain_words.py", *sources(*pages, *python))
    lint_workflows(session)


def lint_workflows(session: nox.Session) -> None:
    """Check the workflows: with GitHub's own parser, their security, schema, and conventions."""
    workflows = sources(".github/workflows/*.yml")
    actions = sources(".github/actions/*/action.yml")
    lint = SCRIPTS / "workflows" / "lint.mjs"
    session.run("node", lint, *workflows, *actions, env=install_github_packages(session))
    session.run("zizmor", "--offline", "--pedantic", "--strict-collection", ROOT / ".github")
    schema = ("check-jsonschema", "--builtin-schema")
    session.run(*schema, "vendor.github-workflows", *workflows)
    session.run(*schema, "vendor.github-actions", *actions)
    session.run(*schema, "vendor.dependabot", ROOT / ".github" / "dependabot.yml")
    session.run("repo-review", "--select", "GH", ROOT)


def install_github_packages(session: nox.Session) -> dict[str, str]:
    """Install GitHub's parser and expression engine of workflows; return the variable for them."""
    modules = ROOT / "build" / "node"
    modules.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(REQUIREMENTS / "node" / name, modules)
    npm = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", modules)
    step(session, "install GitHub's parser of workflows", *npm)
    return {"NODE_MODULES": str(modules)}


@nox.session(default=False)
def rehearse(session: nox.Session) -> None:
    """Run the workflow wheels.yml on this machine: -- --event tag --python 3.7 --python 3.12."""
    install_wheelkit(session, REQUIREMENTS / "rehearse.txt")
    packages = install_github_packages(session)
    command: list[str | Path] = ["python", SCRIPTS, "rehearse", *session.posargs]
    # It needs some time to remove its containers when it is interrupted.
    session.run(*command, env=packages, interrupt_timeout=90, terminate_timeout=90)


@nox.session(default=False)
def pins(session: nox.Session) -> None:
    """Pin the newest versions of what requirements/*.in list, by hash."""
    install(session, REQUIREMENTS / "pins.txt")
    # Only the files in these packages are used, so their dependencies are not needed.
    more = {"standin": ["--no-deps"]}
    # wheelkit is installed in these environments, with all of its extras.
    for name in ("wheelkit", "rehearse", "lint", "docs"):
        more[name] = [str(WHEELKIT / "pyproject.toml"), "--all-extras"]
    # wheelkit's requirements are part of its distribution, so that its users can install them by
    # hash.
    target = {"wheelkit": TOOLS}
    for source in sorted(REQUIREMENTS.glob("*.in")):
        name = source.stem
        file = target.get(name, REQUIREMENTS / f"{name}.txt")
        session.run(
            *("uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
            # For each CPython, pin the newest version that runs on it.
            *("--no-annotate", "--upgrade", "--fork-strategy=requires-python"),
            f"--python-version={oldest_python(file)}",
            f"requirements/{name}.in",
            *more.get(name, []),
            f"--output-file={file}",
            env={"UV_CUSTOM_COMPILE_COMMAND": "nox -s pins"},
        )


def oldest_python(file: Path) -> str:
    """Return the oldest CPython with which a file of requirements is installed."""
    uses = nox.project.load_toml(REQUIREMENTS / "uses.toml")["use"]
    found = [use["pythons"] for use in uses if (REQUIREMENTS / use["file"]).resolve() == file]
    minor = min(int(oldest.partition(".")[2]) for oldest, _ in found)
    return f"3.{minor}"

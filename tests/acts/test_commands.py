"""Commands of a shell, each with what it does: a row is a command and its acts, shortly."""

from __future__ import annotations

import pytest

from karl.acts.reader import Given, Reader


def short(
    command: str, output: str = "", *, success: bool | None = True, cwd: str | None = None
) -> list[str]:
    """Give a command's acts as `does path`, a check as `kind name`, with its end where that is known."""
    found = []
    for act in Reader(cwd).acts(Given("Bash", {"command": command}, output, success)):
        what = (
            f"{act.check} {act.program}" if act.check else f"{act.does} {act.path}" if act.path else act.does
        )
        found.append(what + {True: " +", False: " -", None: ""}[act.ok])
    return found


CHECKS = [
    ("pytest -q", "test pytest"),
    ("python -m pytest tests/test_a.py::test_b -x", "test pytest"),
    ("python3.12 -W error -m pytest", "test pytest"),
    ("python -mpytest", "test pytest"),
    ("PY=$(which python3); $PY -m pytest -x", "test pytest"),
    ("PY=.venv/bin/python; $PY -m pytest -x", "test pytest"),
    ("$PYTHON tests/runtests.py queries", "test runtests.py"),
    ("CMD='pytest -q'; eval $CMD", "test pytest"),
    ("python -m unittest discover -s tests", "test unittest"),
    ("PYTHONPATH=. DJANGO_SETTINGS_MODULE=x python manage.py test app.tests", "test manage.py test"),
    ("./manage.py test", "test manage.py test"),
    ("python -m django test --settings=a.b", "test django test"),
    ("./tests/runtests.py queries --parallel 1", "test runtests.py"),
    ("python tests/runtests.py queries", "test runtests.py"),
    ("bin/test sympy/core", "test bin/test"),
    ("./scripts/run_tests.sh", "test run_tests.sh"),
    ("bash ci/test.sh", "test test.sh"),
    ("uv run pytest", "test pytest"),
    ("uv run --with hypothesis --directory sub python -m pytest", "test pytest"),
    ("uvx ruff check .", "lint ruff check"),
    ("poetry run pytest", "test pytest"),
    ("pipenv run python -m pytest", "test pytest"),
    ("pdm run pytest", "test pytest"),
    ("hatch run test:pytest", "test pytest"),
    ("rye run pytest", "test pytest"),
    ("conda run -n env pytest", "test pytest"),
    ("micromamba run -n env python -m pytest", "test pytest"),
    ("coverage run -m pytest", "test pytest"),
    ("python -m coverage run --source=x -m pytest", "test pytest"),
    ("nix develop -c pytest", "test pytest"),
    ("nix-shell --run 'make test'", "test make test"),
    ("sudo -u app timeout -k 5 60 env A=1 nice -n 5 pytest", "test pytest"),
    ("time pytest", "test pytest"),
    ("exec pytest", "test pytest"),
    ("bash -lc 'cd sub && pytest'", "test pytest"),
    ('sh -c "pytest -q"', "test pytest"),
    ("ssh -p 22 host 'cd /srv && pytest'", "test pytest"),
    ("docker exec -it web pytest", "test pytest"),
    ("docker run --rm -v $PWD:/app -w /app img:1 pytest", "test pytest"),
    ("docker compose exec -T web python manage.py test", "test manage.py test"),
    ("docker-compose run --rm web pytest", "test pytest"),
    ("kubectl exec pod -c web -- pytest", "test pytest"),
    ("find tests -name '*.py' | xargs pytest", None),
    ("tox -e py312", "test tox"),
    ("nox -s tests", "test nox"),
    ("npm test", "test npm test"),
    ("npm t", "test npm test"),
    ("npm run test:unit -- --watch=false", "test npm test:unit"),
    ("npm --prefix web run typecheck", "types npm typecheck"),
    ("npm run lint", "lint npm lint"),
    ("npm run build", "build npm build"),
    ("yarn test", "test yarn test"),
    ("pnpm -F web test", "test pnpm test"),
    ("pnpm exec vitest run", "test vitest"),
    ("bun test", "test bun test"),
    ("npx jest@29 --ci", "test jest"),
    ("npx -y tsc --noEmit", "types tsc"),
    ("bunx eslint .", "lint eslint"),
    ("yarn dlx playwright test", "test playwright test"),
    ("node --test", "test node --test"),
    ("node_modules/.bin/mocha", "test mocha"),
    ("deno test -A", "test deno test"),
    ("npx cypress run", "test cypress run"),
    ("npx prettier --check .", "lint prettier --check"),
    ("npx biome check src", "lint biome check"),
    ("cargo test -p core", "test cargo test"),
    ("cargo +nightly nextest run", "test cargo nextest run"),
    ("cargo build --release", "build cargo build"),
    ("cargo check", "build cargo check"),
    ("cargo clippy -- -D warnings", "lint cargo clippy"),
    ("cargo fmt --check", "lint cargo fmt --check"),
    ("go test ./...", "test go test"),
    ("go -C sub test ./...", "test go test"),
    ("go build ./...", "build go build"),
    ("go vet ./...", "lint go vet"),
    ("golangci-lint run", "lint golangci-lint run"),
    ("gotestsum -- -race", "test gotestsum"),
    ("dotnet test", "test dotnet test"),
    ("dotnet build -c Release", "build dotnet build"),
    ("bazel test //...", "test bazel test"),
    ("cmake --build build", "build cmake --build"),
    ("ctest -V", "test ctest"),
    ("ninja -C build", "build ninja"),
    ("make", "build make"),
    ("make -C sub -j8 check", "test make check"),
    ("make lint", "lint make lint"),
    ("just test", "test just test"),
    ("task test", "test task test"),
    ("mvn -q -pl core test", "test mvn test"),
    ("./mvnw verify", "test mvnw verify"),
    ("mvn package -DskipTests", None),
    ("./gradlew :app:testDebugUnitTest", "test gradlew :app:testDebugUnitTest"),
    ("./gradlew build", "build gradlew build"),
    ("gradle test --tests a.B", "test gradle test"),
    ("sbt test", "test sbt test"),
    ("bundle exec rspec", "test rspec"),
    ("rake test", "test rake test"),
    ("vendor/bin/phpunit", "test phpunit"),
    ("composer test", "test composer test"),
    ("mix test", "test mix test"),
    ("swift build", "build swift build"),
    ("swift test", "test swift test"),
    ("xcodebuild -scheme App test", "test xcodebuild test"),
    ("flutter test", "test flutter test"),
    ("dart analyze", "lint dart analyze"),
    ("mypy .", "types mypy"),
    ("python -m mypy karl", "types mypy"),
    ("pyright", "types pyright"),
    ("ruff check .", "lint ruff check"),
    ("ruff format --check .", "lint ruff format --check"),
    ("flake8 x.py", "lint flake8"),
    (".venv/bin/pylint pkg", "lint pylint"),
    ("black --check .", "lint black --check"),
    ("shellcheck a.sh", "lint shellcheck"),
    ("pre-commit run -a", "lint pre-commit run"),
    ("terraform validate", "lint terraform validate"),
    ("python -m py_compile a.py", "build py_compile"),
    ("python setup.py build_ext --inplace", "build setup.py build"),
    ("bash -n a.sh", "build bash -n"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "check"), CHECKS, ids=[command for command, _ in CHECKS])
def test_a_check_is_known_by_the_program_that_runs(command, check):
    found = [
        act.rstrip(" +-") for act in short(command) if act.split()[0] in ("test", "build", "lint", "types")
    ]
    assert found == ([check] if check else ["test pytest"] if "xargs" in command else [])


NO_CHECKS = [
    "echo pytest", "grep -rn pytest .", "cat pytest.ini", "# pytest", "pytest --version", "pytest --help", "pytest --collect-only -q",
    "pip install pytest", "which pytest", "command -v pytest", "git commit -m 'make test'", "true || pytest", "false && pytest", ": || make test",
    "echo ok || pytest", "exit 0; pytest", "if false; then pytest; fi", "while false; do pytest; done", "f() { pytest; }", "cat <<EOF\npytest\nEOF",
    "printf 'pytest'", "vim pytest.py", "ls bin/test", "python -c 'print(\"5 passed\")'", "export CMD='pytest -q'", "X=pytest", "make -n test", "make clean",
    "npm ci", "npm install jest", "npm run dev", "npm start", "go mod tidy", "cargo add tokio", "ctest -N", "tox -l", "just --list", "ruff --version",
    "alias t=pytest", "type pytest", "man pytest", "sed -n 1,5p bin/test", "docker build --help", "tsc --version", "mvn -v", "jest --listTests", "go test -list . ./...",
    "rm run_tests.py", "cp tests/runtests.py /tmp/x", "black .", "prettier --write .", "ruff format .", "npm run format", "npm run lint:fix", "python manage.py migrate",
    "find . -name pytest.ini", "python test_mine.py", "git log --grep 'npm test'", "kill $(pgrep pytest)", "history | grep 'cargo test'", "node x.js", "time", "sudo", "xargs", "timeout 5",
]  # fmt: skip


@pytest.mark.parametrize("command", NO_CHECKS)
def test_what_only_mentions_a_check_is_none(command):
    assert not [act for act in short(command) if act.split()[0] in ("test", "build", "lint", "types")]


TOUCHES = [
    # looking
    ("cat a.py b.py", ["read a.py +", "read b.py +"]),
    ("head -n 5 a.py", ["read a.py +"]),
    ("sed -n '1,50p' src/a.py", ["read src/a.py +"]),
    ("nl -ba a.py | sed -n 5,9p", ["read a.py"]),
    ("awk '{print $1}' a.txt", ["read a.txt +"]),
    ("cat < a.txt", []),
    ("grep -n foo a.py", ["search a.py +"]),
    ("grep -rn foo", ["search . +"]),
    ("ls | grep foo", ["list ."]),
    ("rg -t py foo src", ["search src +"]),
    ("find src -name '*.py'", ["search src +"]),
    ("fd foo", ["search . +"]),
    ("git grep foo -- src", ["search src +"]),
    ("ls -la src", ["list src +"]),
    ("tree", ["list . +"]),
    ("python -c \"print(open('a.py').read())\"", ["run +", "read a.py +"]),
    ("jq .x a.json", ["read a.json +"]),
    # changing
    ("sed -i 's/a/b/' a.py b.py", ["edit a.py +", "edit b.py +"]),
    ("sed -i.bak -e s/a/b/ -e s/c/d/ a.py", ["edit a.py +"]),
    ("sed -i '' s/a/b/ a.py", ["edit a.py +"]),
    ("sed -Ei s/a/b/ a.py", ["edit a.py +"]),
    ("sed --in-place=.x s/a/b/ a.py", ["edit a.py +"]),
    ("perl -pi -e s/a/b/ a.py", ["edit a.py +"]),
    ("perl -0777 -i.bak -pe s/a/b/ a.py", ["edit a.py +"]),
    ("perl -ne print a.py", ["read a.py +"]),
    ("echo x > a.txt", ["edit a.txt +"]),
    ("echo x >> a.txt 2>&1", ["edit a.txt +"]),
    ("make 2> err.log >/dev/null", ["build make +", "edit err.log +"]),
    ("cat > a.py <<'EOF'\nx = 'it''s'\nEOF", ["edit a.py +"]),
    ("cat <<EOF >> a.py\nx\nEOF\nls", ["edit a.py", "list . +"]),
    ("cat <<-EOF > a.py\n\tx\n\tEOF\nls", ["edit a.py", "list . +"]),
    ("tee a.txt b.txt < c", ["edit a.txt +", "edit b.txt +"]),
    ("cp a.py b.py", ["edit b.py +"]),
    ("cp a.py c.py out/", ["edit out/a.py +", "edit out/c.py +"]),
    ("mv a.py b.py", ["delete a.py +", "edit b.py +"]),
    ("rm -rf build a.py", ["delete build +", "delete a.py +"]),
    ("touch a.py", ["edit a.py +"]),
    ("truncate -s 0 a.py", ["delete a.py +"]),
    ("dd if=a of=b bs=1", ["read a +", "edit b +"]),
    ("ed -s a.py <<EOF\n1d\nw\nEOF", ["edit a.py +"]),
    ("patch -p1 <<EOF\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\nEOF", ["edit x.py +"]),
    ("git apply <<EOF\n--- a/x.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\nEOF", ["delete x.py +"]),
    ("git apply --check p.diff", ["vcs +"]),
    ("apply_patch <<'EOF'\n*** Begin Patch\n*** Update File: x.py\n@@\n-a\n+b\n*** Add File: y.py\n+c\n*** End Patch\nEOF", ["edit x.py +", "edit y.py +"]),
    ("apply_patch <<'EOF'\n*** Begin Patch\n*** End Patch\nEOF", []),
    ("for f in a.py b.py; do sed -i s/a/b/ $f; done", ["edit a.py", "edit b.py"]),
    ('F=src/a.py; sed -i s/a/b/ "$F"', ["edit src/a.py +"]),
    ("find . -name '*.py' -exec sed -i s/a/b/ {} +", ["search . +", "edit *.py +"]),
    ("grep -rl foo src | xargs sed -i s/foo/bar/", ["search src", "edit +"]),
    ("curl -s -o a.json http://x/y", ["run +", "edit a.json +"]),
    # scripts that write
    ("python - <<'EOF'\np = 'a.py'\ns = open(p).read()\nopen(p, 'w').write(s)\nEOF", ["run +", "read a.py +", "edit a.py +"]),
    ("python <<EOF\nfrom pathlib import Path\nPath('a.py').write_text('x')\nEOF", ["run +", "edit a.py +"]),
    ("python -c \"import pathlib; pathlib.Path('a.py').write_text('x')\"", ["run +", "edit a.py +"]),
    ("node -e \"require('fs').writeFileSync('a.js', 'x')\"", ["run +", "edit a.js +"]),
    ("ruby -e \"File.write('a.rb', 'x')\"", ["run +", "edit a.rb +"]),
    ("echo \"open('a.py','w')\" | python", ["run +", "edit a.py +"]),
    ("cat > fix.py <<EOF\nopen('a.py', 'w')\nEOF\npython fix.py", ["edit fix.py", "run fix.py +", "edit a.py +"]),
    ("cat > fix.py <<EOF\nimport sys\nopen(sys.argv[1], 'w')\nEOF\npython fix.py b.py", ["edit fix.py", "run fix.py +", "edit b.py +"]),
    ("printf 'sed -i s/a/b/ x.py' > fix.sh && bash fix.sh", ["edit fix.sh +", "run fix.sh +", "edit x.py +"]),
    ("python reproduce.py", ["run reproduce.py +"]),
    ("node x.js", ["run x.js +"]),
    # version control
    ("git commit -am x && git push", ["commit +", "push +"]),
    ("git checkout -- a.py b.py", ["revert a.py +", "revert b.py +"]),
    ("git checkout HEAD~1 -- a.py", ["revert a.py +"]),
    ("git checkout a.py", ["revert a.py +"]),
    ("git checkout main", ["vcs +"]),
    ("git checkout -b x", ["vcs +"]),
    ("git restore .", ["revert +"]),
    ("git restore --staged a.py", ["vcs +"]),
    ("git reset --hard HEAD", ["revert +"]),
    ("git reset HEAD a.py", ["vcs +"]),
    ("git stash", ["revert +"]),
    ("git stash list", ["vcs +"]),
    ("git clean -fdx", ["revert +"]),
    ("git mv a.py b.py", ["delete a.py +", "edit b.py +"]),
    ("git rm a.py", ["delete a.py +"]),
    ("git -C sub diff -- a.py", ["read sub/a.py +"]),
    ("git show HEAD:src/a.py", ["read src/a.py +"]),
    # folders
    ("cd src && cat a.py && cd .. && cat b.py", ["read src/a.py +", "read b.py +"]),
    ("(cd src; cat a.py); cat b.py", ["read src/a.py", "read b.py +"]),
    ("pushd src; cat a.py; popd; cat b.py", ["read src/a.py", "read b.py +"]),
    # nothing
    ("", []), ("   \n", []), ("echo hi", []), ("cd x", []), ("submit", []), ("((i++))", []), ("[[ -f a && -d b ]]", []), ("export A=1", []), ("true", []), ("mkdir -p a/b", []),
    ("pip install -e .", ["install +"]), ("npm ci", ["install +"]), ("apt-get install -y x", ["install +"]),
]  # fmt: skip


@pytest.mark.parametrize(("command", "acts"), TOUCHES, ids=[command[:60] for command, _ in TOUCHES])
def test_a_command_reads_and_changes(command, acts):
    assert short(command) == acts


ENDS = [
    ("a && b", True, ["run +", "run +"]),
    ("a && b", False, ["run", "run"]),
    ("cd x && a", False, ["run -"]),
    ("a || b", True, ["run", "run"]),
    ("a || b", False, ["run -", "run -"]),
    ("a; b", True, ["run", "run +"]),
    ("a; b", False, ["run", "run -"]),
    ("a\nb", True, ["run", "run +"]),
    ("a | b", False, ["run", "run -"]),
    ("a | tail -3", True, ["run"]),
    ("a | tail -3", False, ["run -"]),
    ("cd x && a | head", False, ["run -"]),
    ("set -o pipefail; a | b", True, ["run +", "run +"]),
    ("set -euo pipefail\na\nb", True, ["run +", "run +"]),
    ("a || true", True, ["run"]),
    ("a; echo $?", True, ["run"]),
    ("a &", True, ["run"]),
    ("! a", True, ["run -"]),
    ("if a; then b; fi", True, ["run", "run"]),
    ("(a)", False, ["run -"]),
    ("bash -c 'a; b'", False, ["run", "run -"]),
    ("a; exit $?", False, ["run -"]),
    ("a; rc=$?; echo done; exit $rc", False, ["run -"]),
    ("x=$(a)", True, ["run"]),
    ("a", None, ["run"]),
]


@pytest.mark.parametrize(("command", "success", "acts"), ENDS)
def test_an_act_ends_as_far_as_the_calls_end_tells(command, success, acts):
    assert short(command, success=success) == acts


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("pytest tests/test_a.py::test_b -k 'x/y'", "tests/test_a.py"),
        ("python -m pytest -x test_a.py", "test_a.py"),
        ("pytest", None),
        ("pytest tests/a.py tests/b.py", None),
        ("ruff check src/a.py", "src/a.py"),
        ("ruff format --check src/", "src"),
        ("mypy -p karl", None),
        ("npx eslint src --ext .ts", None),
        ("cd web && npx jest src/a.test.ts", "web/src/a.test.ts"),
        ("./tests/runtests.py queries", "tests/runtests.py"),
        ("go test ./...", None),
    ],
)
def test_a_check_of_one_file_says_which(command, path):
    (act,) = Reader().acts(Given("Bash", {"command": command}, "", success=True))
    assert act.path == path


def test_a_search_that_found_nothing_did_not_fail():
    acts = Reader().acts(Given("Bash", {"command": "grep -n foo a.py"}, "", False, 1))
    assert acts[0].ok is None


def test_a_command_may_be_a_list_of_words():
    acts = Reader().acts(Given("Bash", {"command": ["bash", "-lc", "cd sub && pytest"]}, "", True))
    assert [act.program for act in acts] == ["pytest"]
    acts = Reader().acts(Given("Bash", {"cmd": ["cat", "a b.py"]}, "", True))
    assert [act.path for act in acts] == ["a b.py"]


def test_the_lines_of_a_written_file_are_counted():
    acts = Reader().acts(Given("Bash", {"command": "cat > a.py <<EOF\n1\n2\n3\nEOF"}, "", True))
    assert (acts[0].added, acts[0].removed) == (3, 0)

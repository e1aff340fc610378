"""The table of programs, as data: what checks, what installs, and which of their words say so.

A row is words as a person types them: the program, the words after it that are no flags, and flags that
must stand somewhere. Adding a runner is adding a row.
"""

from __future__ import annotations

from karl.schema.act import Check


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _sets(text: str) -> dict[str, frozenset[str]]:
    """Read lines of `program: word word`; a line that begins with more space goes on with the one before."""
    table: dict[str, frozenset[str]] = {}
    name = ""
    for line in text.strip("\n").splitlines():
        words = line
        if not line.startswith("     "):
            name, _, words = line.strip().partition(":")
        table[name] = table.get(name, frozenset()) | frozenset(words.split())
    table.pop("", None)
    return table


#: Words of a row: program, then sub-words in their order, then flags that must be there. `a|b` are both.
ROWS: dict[Check, str] = {
    "test": """
        pytest, py.test, unittest, nose, nosetests, nose2, trial, green, ward, doctest, tox, nox, slipcover,
        django-admin test, manage.py test, runtests.py, stestr run, testr run, zope-testrunner, avocado run,
        behave, robot, lettuce, pytest-3, hatch test|t, setup.py test, django test, xdoctest, mutmut run,
        schemathesis run, cargo test|t, cargo nextest run|r, cargo miri test, cargo llvm-cov,
        cargo tarpaulin, cross test, trunk test, wasm-pack test, go test, gotestsum, ginkgo, richgo test,
        dotnet test, dotnet vstest, vstest.console.exe, nunit3-console, xunit.console, bazel test,
        bazelisk test, blaze test, buck test, buck2 test, please test, pants test, ctest, meson test,
        swift test, xcodebuild test, xctest, flutter test, dart test, vitest, jest, mocha, ava, tap, tape,
        jasmine, karma start, playwright test, cypress run, nightwatch, wdio, testcafe, qunit, uvu,
        web-test-runner, wtr, testem ci, ember test, ng test|t, ng e2e, nx test, react-scripts test,
        craco test, hardhat test, forge test, truffle test, anchor test, detox test, bun test, deno test,
        node --test, rspec, minitest, cucumber, testunit, rails test, phpunit, pest, codecept run,
        phpspec run, behat, kahlan, artisan test, mix test, rebar3 eunit|ct, sbt test, sbt testOnly,
        mill test, lein test, clj -X:test, clojure -X:test, stack test, cabal test, dune test, dune runtest,
        busted, prove, bats, shellspec, zig test, nimble test, crystal spec, gleam test, bashunit,
        tclsh all.tcl, kcov, molecule test, helm test, opa test, conftest verify, terratest, terraform test,
        tofu test, newman run, k6 run, tap-spec, lit, llvm-lit, elm-test, pulp test, spago test, inv test,
        invoke test, earthly +test, moon test, turbo test, lerna test, dbt test, sqlfluff test,
        great_expectations checkpoint, promptfoo eval, composer test, npm test|t|tst, tests.py, bin/test,
        bin/doctest, R CMD check
    """,
    "build": """
        cargo build|b, cargo check|c, cargo rustc, cross build, rustc, go build, go install, dotnet build,
        dotnet publish, msbuild, bazel build, bazelisk build, buck build, buck2 build, cmake --build, ninja,
        samu, meson compile, swift build, swiftc, xcodebuild, xcodebuild build, flutter build, dart compile,
        gcc, g++, cc, c++, clang, clang++, javac, kotlinc, scalac, ghc, stack build, cabal build,
        dune build, zig build, nimble build, crystal build, nim c, mix compile, rebar3 compile, sbt compile,
        sbt package, lein compile, lein uberjar, elm make, gleam build, vite build, webpack, rollup,
        esbuild, parcel build, next build, nuxt build, astro build, gatsby build, ng build|b,
        react-scripts build, remix build, svelte-kit build, tsup, unbuild, swc, babel, nx build,
        turbo build, bun build, deno compile, wasm-pack build, trunk build, docker build,
        docker buildx build, docker compose build, docker-compose build, podman build, buildah bud, kaniko,
        setup.py build|build_ext|build_py|bdist_wheel|sdist, build, hatch build, poetry build, pdm build,
        flit build, uv build, maturin build|develop, sphinx-build, mkdocs build, jekyll build, hugo,
        docusaurus build, mdbook build, gulp build, grunt build, hardhat compile, forge build, py_compile,
        compileall, node --check, ruby -c, php -l, perl -c, bash -n, sh -n, zsh -n, terraform plan,
        tofu plan, latexmk, pdflatex, arduino-cli compile, platformio run, pio run, idf.py build,
        west build, scons, ant, protoc, buf build, packer build, nix build, nix-build, papermill,
        jupyter nbconvert --execute
    """,
    "lint": """
        ruff check, ruff format --check, ruff format --diff, flake8, pylint, pycodestyle, pyflakes,
        pydocstyle, bandit, black --check, black --diff, isort --check, isort --check-only, isort -c,
        isort --diff, yapf --diff, yapf -d, autopep8 --diff, vulture, radon, pylama, prospector,
        lint-imports, pre-commit run, prek run, eslint, eslint_d, oxlint, standard, xo, tslint, jshint,
        jslint, biome check, biome lint, biome ci, biome format, rome check, prettier --check, prettier -c,
        prettier --list-different, prettier -l, stylelint, htmlhint, markdownlint, markdownlint-cli2,
        remark, knip, depcheck, ng lint, next lint, nx lint, turbo lint, golangci-lint run,
        golint, staticcheck, revive, gofmt -l, gofmt -d, gofumpt -l, go vet, govulncheck, cargo clippy,
        cargo fmt --check, cargo deny, cargo audit, rustfmt --check, clippy-driver, clang-tidy,
        clang-format --dry-run, cppcheck, cpplint, shellcheck, shfmt -d, hadolint, yamllint, actionlint,
        ansible-lint, tflint, terraform validate, terraform fmt -check, tofu validate, tofu fmt -check,
        tfsec, checkov, helm lint, kubeval, kubeconform, rubocop, standardrb, reek, brakeman, phpcs,
        php-cs-fixer --dry-run, pint --test, phpmd, parallel-lint, mix credo, mix format --check-formatted,
        dart analyze, flutter analyze, dart format --set-exit-if-changed, swiftlint, swift-format lint,
        ktlint, detekt, checkstyle, pmd, scalafmt --check, scalastyle, hlint, credo,
        dotnet format --verify-no-changes, buf lint, sqlfluff lint, vale, codespell, commitlint, luacheck,
        selene, stylua --check, perlcritic, deno lint, deno fmt --check, djlint, semgrep, nbqa, deptry,
        check-manifest, twine check, validate-pyproject, nix flake check, statix check, dprint check,
        cspell, jsonlint, xmllint, taplo check|lint, typos
    """,
    "types": """
        mypy, dmypy run|check, pyright, basedpyright, pyre, pyre check, pytype, ty check, pyrefly check,
        tsc, vue-tsc, svelte-check, flow, flow check, astro check, tsgo, deno check,
        phpstan analyse|analyze, phpstan, psalm, mix dialyzer, dialyzer, sorbet tc, srb tc, steep check,
        rbs validate, typeprof, ng-tsc, glint, go vet -vettool
    """,
}

#: Flags with which a program says something of itself, or of its tests, and runs none.
SAYS_ONLY = _words(
    """
    --cache-clear-only --cache-show --co --collect-only --collectonly --dump --env-info --fixtures
    --generate-rcfile --help --help-all --init --just-print --list-checks --list-envs --list-presets
    --list-rules --list-target-files --list-targets --list-tests --listFilesOnly --listTests --listenvs
    --markers --no-op --print-config --print-labels --setup-plan --show-config --show-files --show-settings
    --showConfig --showconfig --trace-config --version
    """
)
#: Such flags of some programs only: elsewhere they mean another thing.
SAYS_ONLY_OF: dict[str, frozenset[str]] = _sets(
    """
    pytest: -V -VV -h
    py.test: -V -VV -h
    ctest: --show-only -N -h
    make: --dry-run --question --recon --touch -h -n -p -q -t -v
    gmake: --dry-run --question --recon --touch -h -n -p -q -t -v
    just: --dry-run --list --show --summary -V -h -l -n -s
    task: --dry --list --list-all -a -h -l -n
    tox: --devenv --notest -a -h -l -n
    nox: --list -h -l
    go: -c -h -list -n
    golangci-lint: version
    cargo: --list --no-run -V -h
    npm: --dry-run --if-present
    pnpm: --dry-run --if-present
    deno: --no-run
    mocha: --dry-run
    rubocop: -L -V
    stack: --no-run-tests
    cabal: --dry-run
    xcodebuild: -dry-run -list -showBuildSettings
    busted: --list
    prove: --dry --norun -n
    bats: --count -c
    meson: --list
    swift: list
    gradle: --dry-run --tasks -h -m -v
    gradlew: --dry-run --tasks -h -m -v
    mvn: -Dmaven.test.skip=true -DskipTests -DskipTests=true -h -v
    mvnw: -Dmaven.test.skip=true -DskipTests -DskipTests=true -h -v
    bazel: --nobuild
    ninja: -h -n -t
    rspec: --dry-run -h -v
    phpunit: --list-groups --list-suites -h
    playwright: --list -V -h
    vitest: -h -v list
    jest: -h
    tsc: -h -v -w
    eslint: -h -v
    mypy: -V -h
    ruff: -V -h
    black: -h
    flake8: -h
    pylint: -h
    pyright: -h
    pre-commit: -V -h
    runtests.py: -h
    unittest: -h
    dotnet: -h -t
    gcc: -E -M -MM -dumpversion -v
    clang: -E -dumpversion -v
    prettier: -h -v
    node: -h -v
    """
)

#: Flags whose value is the next word, of programs that take sub-words after them.
VALUED: dict[str, frozenset[str]] = _sets(
    """
    go: -C
    git: --git-dir --namespace --work-tree -C -c
    npm: --prefix --workspace -C -w
    yarn: --cwd
    pnpm: --dir --filter -C -F
    bun: --cwd --filter
    pytest: -k -m -p -c -n -o -W -r --maxfail --tb --timeout --deselect --ignore --rootdir
    mypy: -m -p -c --config-file --python-version --exclude
    ruff: --config --select --ignore --extend-select --line-length --output-format
    eslint: -c --config --ext --rule -f --format
    jest: -t --testNamePattern -c --config
    vitest: -t --testNamePattern -c --config
    mocha: -g --grep -r --require
    rspec: -e --example -r --require -f --format
    make: --directory --file -C -I -W -f -j -l -o
    gmake: --directory --file -C -I -f
    just: --justfile --set --working-directory -d -f
    task: --dir --taskfile -d -t
    mvn: --file --projects -P -T -f -l -pl -s
    mvnw: --file --projects -P -T -f -l -pl -s
    gradle: --exclude-task --project-dir --tests -I -b -c -g -p -x
    gradlew: --exclude-task --project-dir --tests -I -b -c -g -p -x
    docker: --context --env-file --file --profile --project-name -H -f -p
    docker-compose: --env-file --file --profile --project-name -f -p
    xcodebuild: -configuration -derivedDataPath -destination -project -scheme -sdk -target
        -workspace
    cmake: --config --target -j -t
    dotnet: --project
    composer: --working-dir -d
    poetry: --directory -C
    uv: --directory --project --python -p
    cargo: --config --manifest-path --package -C -Z -p
    """
)

#: Checkers whose words are the files that they look at.
OF_FILES = _words(
    """
    pytest py.test nosetests nose2 doctest mypy pyright basedpyright ruff flake8 pylint pycodestyle
    pyflakes bandit black isort eslint oxlint prettier biome stylelint shellcheck py_compile jest
    vitest mocha ava rspec rubocop phpunit phpstan psalm yamllint markdownlint markdownlint-cli2
    vale hadolint gofmt clang-tidy luacheck ty javac kotlinc gcc g++ cc clang clang++ sphinx-build
    jupyter papermill
    """
)

#: Checks that print nothing when all is well, and never nothing when it is not.
SILENT = frozenset(
    {
        "go build", "go vet", "gofmt -l", "tsc", "eslint", "flake8", "pyflakes", "pycodestyle", "shellcheck",
        "yamllint", "gcc", "clang", "g++", "cc", "javac", "py_compile", "bash -n", "sh -n",
    }
)  # fmt: skip

#: Flags with which a check ends well whatever it found: its words alone say how it ended.
ENDS_WELL = _words(
    """
    --do-not-fail-on-incomplete --do-not-fail-on-risky --do-not-fail-on-skipped --do-not-fail-on-warning
    --exit-zero --fail-never --ignore-errors --issues-exit-code=0 -Dmaven.test.failure.ignore
    -Dmaven.test.failure.ignore=true -fn
    """
)

#: Checks that name what they find and end well nevertheless.
LISTS_FAULTS = frozenset({"gofmt -l", "gofumpt -l", "gofmt -d"})

#: Runners of named targets or scripts: what those names mean, `of_target` says. The words are what stands
#: between the program and the name.
TARGETS: dict[str, tuple[tuple[str, ...], ...]] = {
    **dict.fromkeys(
        _words(
            """
        make gmake just task rake invoke inv doit poe taskipy mage gradle gradlew gradlew.bat
        mvn mvnw mvnd sbt ant rails wireit gulp grunt earthly bundle thor cargo-make makers
        xtask ng please tusk npm-run-all run-s run-p rush cabal
        """
        ),
        ((),),
    ),
    **dict.fromkeys(_words("pnpm yarn lerna nx turbo pdm moon"), (("run",), ())),
    **dict.fromkeys(_words("bun hatch pixi devbox"), (("run",),)),
    "npm": (("run",), ("run-script",)),
    "composer": (("run",), ("run-script",), ()),
    "deno": (("task",),),
    "mise": (("run",), ("r",)),
}
#: Without a name, these build what there is.
BUILDS_BARE = frozenset({"make", "gmake", "ninja", "ant", "gradlew", "gradle", "sbt"})
WORDS_OF: dict[str, Check] = {
    **dict.fromkeys(
        _words(
            """
        test tests check spec specs unit unittest unittests e2e integration pytest jest vitest
        verify coverage cov tst smoke ci mocha phpunit runtest doctest tdd
        """
        ),
        "test",
    ),
    **dict.fromkeys(
        _words(
            """
        lint eslint style fmt format checkstyle spotless ruff flake8 pylint prettier clippy vet
        ktlint detekt stylelint rubocop biome lints shellcheck standards precommit
        """
        ),
        "lint",
    ),
    **dict.fromkeys(
        _words(
            """
        types type typecheck typechecks tsc mypy pyright typing tscheck flow phpstan psalm
        """
        ),
        "types",
    ),
    **dict.fromkeys(
        _words(
            """
        build compile all assemble dist package bundle install classes html docs jar release
        debug
        """
        ),
        "build",
    ),
}
#: Names that build where a runner of a language's own phases says them, and install or clean elsewhere.
NOT_BUILT = frozenset({"install", "debug", "release", "ci"})
JVM = frozenset({"gradle", "gradlew", "gradlew.bat", "mvn", "mvnw", "mvnd", "sbt", "ant"})
#: Of names in which these stand, nothing is checked: they change, clean or watch.
CHANGES = _words(
    """
    clean data db deploy deps dev down env fix generate help init install list prepare publish serve
    server setup start up update watch write
    """
)

#: Programs that bring packages in: sub-words that do so, or none for those that do nothing else.
INSTALLERS: dict[str, frozenset[str]] = _sets(
    """
    pip: download install uninstall wheel
    pip3: download install uninstall wheel
    uv: add lock pip remove sync venv
    poetry: add install lock remove update
    pdm: add install lock remove sync update
    pipenv: install lock sync uninstall
    rye: add remove sync
    conda: create env install remove update
    mamba: create env install update
    micromamba: create install update
    npm: add ci i install link remove rm uninstall update
    pnpm: add i install remove up update
    yarn: add install remove up upgrade
    bun: add i install remove
    apt: install remove update upgrade
    apt-get: build-dep install remove update upgrade
    apk: add update
    yum: install update
    dnf: install update
    brew: install tap upgrade
    pacman:
    gem: install update
    bundle: add install update
    composer: install remove require update
    cargo: add fetch install update
    go: get mod
    pipx: inject install
    easy_install:
    rustup: component install target toolchain update
    pyenv: install
    nvm: install use
    corepack: enable prepare
    mix: deps.get
    flutter: pub
    dart: pub
    dotnet: add restore
    nix-env:
    choco: install
    winget: install
    snap: install
    cpanm:
    luarocks: install
    opam: install
    stack: setup
    ensurepip:
    venv:
    virtualenv:
    mise: install use
    asdf: install
    """
)

"""One team's line on machines of its own, for all tests of this folder that harm its network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.machines.network import Network, NoNamespaces
from tests.machines.team import NODES, Team


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The line over a network of its own."""
    try:
        network = Network(NODES)
    except NoNamespaces as error:
        pytest.skip(str(error))
    with network, Team(tmp_path_factory.mktemp("team"), network, standby=True) as made:
        yield made


@pytest.fixture
def team(lab: Team) -> Iterator[Team]:
    """The line, whole and at rest; its network is whole again after the test."""
    yield lab
    lab.network.heal()

"""Backups on MariaDB: what differs between databases, such as locks and long texts; SQLite passes all of the suite."""


import pytest

from tests.backup_suite import (  # noqa: F401
    server,
    stage,
    test_a_backup_is_begun_reported_and_listed,
    test_a_restore_holds_the_server_until_its_end_is_told,
    test_bak_7_a_node_speaks_for_its_own_servers_alone,
    test_quo_7_the_limit_holds_however_many_ask_at_once,
)

pytestmark = pytest.mark.real

"""A hostile game server and its hostile install script, on a real agent and engine: whatever they try is refused, and would have worked."""

import asyncio
import os

import pytest

from tests.real.evil_tenant.stage import EVIL, Evening, played

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

KERNEL = (
    *("mount", "chroot", "user_namespace", "mount_namespace", "open_by_handle", "kernel_module", "kexec", "reboot", "kernel_log"),
    *("keyring", "bpf", "perf_events", "clock", "hostname", "swap", "raw_socket", "packet_socket", "device", "nice", "new_owner"),
    *("become_root", "sysctl", "sysrq", "kernel_memory", "sys_write", "own_limits", "image", "engine_socket", "others_processes"),
    *("host_disk", "setuid_program"),
)
PROVEN = (
    *("mount", "chroot", "user_namespace", "mount_namespace", "kernel_log", "keyring", "clock", "hostname", "swap", "raw_socket"),
    *("packet_socket", "device", "nice", "new_owner", "become_root", "sysctl", "image", "reboot", "open_by_handle"),
)
"""Those that any kernel lets root do without walls. The rest depends on what the machine has (modules, disks, kcore)."""
RESOURCES = ("fork_bomb", "full_tmp", "inode_flood", "memory_bomb", "core_dump", "more_files")
NETWORK = ("dial_neighbour", "neighbour_by_name")
FIREWALLED = ("dial_agent", "dial_docker", "dial_host", "dial_own_gateway", "metadata", "metadata_elsewhere")
INSTALLER = (
    *("ins_device", "ins_character_device", "ins_mount", "ins_mount_proc", "ins_remount", "ins_unshare", "ins_user_namespace"),
    *("ins_chroot", "ins_sysctl", "ins_sysrq", "ins_script", "ins_beside", "ins_limits", "ins_release_agent", "ins_socket", "ins_disks"),
    *("ins_others", "ins_neighbour", "ins_fork_bomb"),
)


@pytest.fixture(scope="module")
def evening(docker_host: str, demo_images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Evening:
    """Played once; the tests below look at it."""
    if os.geteuid() != 0 or not docker_host.startswith("unix://"):
        pytest.skip("the walls under test need root and an engine on this machine; elsewhere the agent tells which of them are missing")
    return asyncio.run(played(docker_host, next(iter(demo_images.values())), tmp_path_factory.mktemp("evil")))


@pytest.fixture
def firewalled(evening: Evening) -> Evening:
    if evening.obstacle:
        pytest.skip(f"this machine has no rules of ours, which the agent's log says: {evening.obstacle}")
    return evening


@pytest.mark.parametrize("attack", KERNEL)
def test_doc_6_the_kernel_refuses_a_game(evening: Evening, attack: str) -> None:
    won, how = evening.attacks[attack]
    assert not won, how


@pytest.mark.parametrize("attack", PROVEN)
def test_doc_6_without_walls_it_would_have_been_let_through(evening: Evening, attack: str) -> None:
    won, how = evening.control[attack]
    assert won, how


@pytest.mark.parametrize("attack", NETWORK)
def test_doc_8_a_neighbour_cannot_be_reached(evening: Evening, attack: str) -> None:
    assert evening.neighbour_answers_host
    won, how = evening.attacks[attack]
    assert not won, how


def test_doc_8_nothing_said_to_everybody_is_heard_by_a_neighbour(evening: Evening) -> None:
    """Its friend, with the same datagrams, was heard afterwards."""
    assert evening.heard == "host\n"


@pytest.mark.parametrize("attack", FIREWALLED)
def test_doc_8_this_machine_and_the_cloud_s_secrets_cannot_be_reached(firewalled: Evening, attack: str) -> None:
    """Listeners that answer the host stand at each address of the machine; for the others, our own rules counted the refused packets."""
    won, how = firewalled.attacks[attack]
    assert not won, how


def test_doc_8_it_was_our_rules_that_refused(firewalled: Evening) -> None:
    assert firewalled.refused_packets["IN 0.0.0.0/0"] >= 4
    assert firewalled.refused_packets["FW 169.254.0.0/16"] >= 1
    assert firewalled.refused_packets["FW 100.100.100.200"] >= 1


@pytest.mark.parametrize("way", ["dial_allowed", "dial_published"])
def test_what_is_open_stays_open(evening: Evening, way: str) -> None:
    """A port of the machine that the settings open, and one that a neighbour publishes to all."""
    won, how = evening.attacks[way]
    assert won, how


@pytest.mark.parametrize("way", NETWORK)
def test_servers_put_together_by_the_settings_reach_each_other(evening: Evening, way: str) -> None:
    won, how = evening.friend[way]
    assert won, how


@pytest.mark.parametrize("attack", RESOURCES)
def test_res_1_res_12_a_game_cannot_take_more_than_its_share(evening: Evening, attack: str) -> None:
    """RES-1 fork bomb, RES-12 a full /tmp, and beside them memory, core dumps, open files."""
    won, how = evening.attacks[attack]
    assert not won, how


def test_res_2_a_huge_line_is_cut_and_a_flood_does_not_stop_the_console(evening: Evening) -> None:
    assert evening.attacks["flood"][0]
    assert evening.longest_line <= 66_000
    assert evening.console_lines >= 6000


def test_res_13_a_flood_does_not_fill_the_disk_with_logs(evening: Evening) -> None:
    """14 MB were said; the engine's log is capped at 1 MB (and one it is rotating), the installation's at 1 MiB and its last lines."""
    if evening.engine_log_bytes is None:
        pytest.skip("the engine keeps its logs where this process cannot look")
    assert 0 < evening.engine_log_bytes < 3_000_000


def test_res_8_the_log_of_an_installation_is_capped(evening: Evening) -> None:
    assert 500_000 < evening.install_log_bytes < 1_400_000


@pytest.mark.parametrize("attack", INSTALLER)
def test_ins_1_ins_2_an_install_script_stays_inside(evening: Evening, attack: str) -> None:
    won, _ = evening.installer[attack]
    assert not won


@pytest.mark.parametrize("attack", ["ins_metadata", "ins_host"])
def test_ins_2_an_install_script_reaches_neither_this_machine_nor_the_cloud_s_secrets(firewalled: Evening, attack: str) -> None:
    won, _ = firewalled.installer[attack]
    assert not won


def test_ins_3_what_an_install_script_leaves_is_handed_over_link_by_link(evening: Evening) -> None:
    assert set(evening.owners.values()) == {evening.evil_owner}
    assert {"passwd_link", "outside_link", "closed", "setuid_perl"} <= evening.owners.keys()
    assert os.stat("/etc/passwd").st_uid == 0


def test_ins_3_an_install_script_does_not_choose_the_server_s_user(evening: Evening) -> None:
    """It gave the folder to another user, who may be another server's."""
    assert evening.evil_owner != 70_000
    assert 70_000 <= evening.evil_owner < 90_000


def test_fs_15_a_setuid_program_of_an_install_script_is_none_afterwards(evening: Evening) -> None:
    assert evening.modes["setuid_perl"] == 0o755
    assert evening.modes[EVIL] == 0o700


def test_fs_1_fs_13_no_link_leads_the_agent_out(evening: Evening) -> None:
    """Not when it hands files over (FS-7), nor when it rewrites configuration through links and `..` (FS-1 to FS-4, FS-13)."""
    assert len(evening.outside_before) == 4
    assert evening.outside_after == evening.outside_before


def test_fs_6_files_are_written_while_a_folder_turns_into_a_link_and_back(evening: Evening) -> None:
    """The race was one: the name was turned many times, and some of the writes found the folder."""
    assert evening.flips > 100
    assert evening.raced > 0
    assert evening.outside_after == evening.outside_before


def test_tpl_1_no_placeholder_tells_a_secret(evening: Evening) -> None:
    assert evening.evil_files.count("key0=") >= 1
    assert evening.token not in evening.evil_files
    assert evening.token[:16] not in str(evening.shown["Config"]["Env"])


def test_doc_1_nobody_s_variable_takes_the_place_of_ours(evening: Evening) -> None:
    variables = evening.shown["Config"]["Env"]
    assert [one for one in variables if one.upper().startswith("STARTUP=")] == ["STARTUP=perl attacks.pl"]
    assert "SERVER_PORT=1" not in variables
    assert not [one for one in variables if "BAD-NAME" in one or one.startswith("X\n")]


def test_doc_2_a_value_is_no_command_on_this_machine(evening: Evening) -> None:
    assert any("touch" in one for one in evening.shown["Config"]["Env"])
    assert "pwned" not in str(evening.outside_after)


def test_doc_3_labels_neither_replace_ours_nor_reach_other_programs(evening: Evening) -> None:
    assert evening.shown["Config"]["Labels"]["dev.aerie.server"] == EVIL
    assert evening.shown["Config"]["Labels"]["Service"] == "Pterodactyl"
    assert "traefik.enable" not in evening.shown["Config"]["Labels"]


def test_doc_11_out_of_its_container_a_game_still_cannot_read_a_neighbour_s_files(evening: Evening) -> None:
    assert evening.neighbour_read_by == {"evil": False, "neighbour": True}


def test_a_user_without_a_name_has_one_and_a_home(evening: Evening) -> None:
    assert evening.shown["Config"]["User"] == f"{evening.evil_owner}:{evening.evil_owner}"
    assert "HOME=/home/container" in evening.shown["Config"]["Env"]
    assert any(mount["Destination"] == "/etc/passwd" and not mount["RW"] for mount in evening.shown["Mounts"])

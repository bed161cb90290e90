"""System units on a real systemd: what starts, is seen, stops and ends, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from pdctl.errors import EpochRefused, InstanceError
from pdctl.model.role import UnitKind
from pdctl.model.unit import UnitState
from pdctl.supervisors.process import ProcessSupervisor
from tests.lab.lab import Lab
from tests.lab.nspawn import Systemd
from tests.lab.systemd_rig import ORPHANING, STUBBORN, Rig, cluster_of, operator, rig
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(1, Systemd()) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def on(lab: Lab, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(lab, cluster_of(request.node.name)) as made:
        yield made


class TestLife:
    async def test_a_unit_starts_is_seen_with_its_labels_and_stops(self, on: Rig) -> None:
        spec = replace(on.spec("exec sleep 600"), ports=(20123,))
        started = await on.supervisor.start(spec, epoch=1)
        assert (started.state, started.labels) == (UnitState.RUNNING, spec.labels)
        assert started.endpoint == "127.0.0.1:20123"
        assert await on.seen() == started
        assert [started.pid] == await on.processes()
        report = await on.supervisor.stop(on.unit(), epoch=1)
        assert (report.existed, report.gone, report.forced, report.leftovers) == (True, True, False, 0)
        assert await on.processes() == []
        after = await on.seen()
        assert after.state is UnitState.EXITED
        assert after.exit is not None and after.exit.cause == "stopped"

    async def test_starting_the_same_launch_twice_changes_nothing(self, on: Rig) -> None:
        spec = on.spec("exec sleep 600")
        one, other = await asyncio.gather(on.supervisor.start(spec, epoch=1), on.supervisor.start(spec, epoch=1))
        assert one.pid == other.pid
        assert (await on.supervisor.start(spec, epoch=1)).incarnation == one.incarnation

    async def test_stopping_what_is_not_there_or_already_stopped_is_a_success(self, on: Rig) -> None:
        report = await on.supervisor.stop(on.unit("nobody"), epoch=1)
        assert (report.existed, report.gone) == (False, True)
        await on.supervisor.start(on.spec("exec sleep 600"), epoch=1)
        await on.supervisor.stop(on.unit(), epoch=1)
        again = await on.supervisor.stop(on.unit(), epoch=1)
        assert again.gone and not again.forced

    async def test_it_runs_as_the_login_with_the_limits_that_rdma_needs(self, on: Rig) -> None:
        script = 'id -un; id -Gn; echo "home $HOME $PWD"; ulimit -l; ulimit -n; ulimit -s; exec sleep 600'
        await on.supervisor.start(on.spec(script), epoch=1)
        await on.says("65536\n")
        said = (await on.journal()).splitlines()
        assert said[0] == "ops"
        known = {line.partition(":")[0] for line in (await on.host.run("getent", "group")).splitlines()}
        assert set(said[1].split()) == {"ops", *({"video", "render"} & known)}
        # Without CAP_SYS_RESOURCE, as in some containers, systemd goes as high as it may.
        memlock, nofile = (await on.host.run("/bin/sh", "-c", "ulimit -H -l; ulimit -H -n")).split()
        nofile = "1048576" if memlock == "unlimited" else nofile
        assert said[2:] == ["home /home/ops /home/ops", memlock, nofile, "65536"]
        names = ("LimitMEMLOCK", "LimitNOFILE", "TasksMax", "KillMode", "Restart")
        shown = await on.host.run("systemctl", "show", "-p", ",".join(names), f"{on.unit()}.service")
        assert set(shown.split()) == {
            "LimitMEMLOCK=infinity", "LimitNOFILE=1048576", "TasksMax=infinity", "KillMode=mixed", "Restart=no",
        }  # fmt: skip

    async def test_arguments_and_env_arrive_as_they_are(self, on: Rig) -> None:
        odd = "a b\t$HOME ${X} $$ %n %% \\ \" ' ` ; \n é {unit_dir}x"
        spec = replace(
            on.python("import os, sys; print(ascii([sys.argv[1:], os.environ['ODD']])); sys.stdout.flush(); os.wait()"),
            env={"ODD": odd},
            files={"conf": "x"},
        )
        spec = replace(spec, argv=(*spec.argv, odd, "", "--a=$b"))
        await on.supervisor.start(spec, epoch=1)
        there = odd.replace("{unit_dir}", f"/var/lib/pdctl/{on.cluster}/units/{on.unit()}/files")
        await on.says(ascii([[there, "", "--a=$b"], there]))

    async def test_files_reach_the_engine_with_their_place_filled_in(self, on: Rig) -> None:
        spec = replace(
            on.spec('. "$CONF"; echo "$SAID"; exec sleep 600'),
            env={"CONF": "{unit_dir}/conf"},
            files={"conf": "SAID=from-{unit_dir}"},
        )
        await on.supervisor.start(spec, epoch=1)
        await on.says(f"from-/var/lib/pdctl/{on.cluster}/units/{on.unit()}/files")

    async def test_the_registrar_may_write_the_clusters_directory_and_nothing_else(self, on: Rig) -> None:
        script = "echo x > $DIR/state && echo wrote; echo x > /etc/x || echo refused; exec sleep 600"
        spec = replace(on.router(script, kind=UnitKind.REGISTRAR), env={"DIR": "{cluster_dir}"})
        await on.supervisor.start(spec, epoch=1)
        await on.says("refused", "registrar")
        assert "wrote" in await on.journal("registrar")

    async def test_forgetting_leaves_only_ledger_epoch_and_the_journal(self, on: Rig) -> None:
        first = await on.supervisor.take_generations(2, epoch=1)
        for generation in (first, first + 1):
            await on.supervisor.start(on.spec("echo said; exit 3", generation=generation), epoch=1)
            await on.ended()
        await on.supervisor.forget([on.unit()], epoch=1)
        view = await on.supervisor.inspect()
        assert (view.units, view.generation) == ((), first + 1)
        left = (await on.host.run("find", f"/var/lib/pdctl/{on.cluster}", "-type", "f")).split()
        assert sorted(path.rpartition("/")[2] for path in left) == ["epoch", "epoch.lock", "ledger.json"]
        assert "failed" not in await on.host.run("systemctl", "list-units", "--all", "--plain", f"pdctl.{on.cluster}.*")
        async with on.supervisor.logs(on.unit(), lines=5, follow=False) as lines:
            assert "said" in [line.text async for line in lines]

    async def test_a_unit_that_lives_is_not_forgotten(self, on: Rig) -> None:
        await on.supervisor.start(on.spec("exec sleep 600"), epoch=1)
        with pytest.raises(InstanceError, match="still lives"):
            await on.supervisor.forget([on.unit()], epoch=1)


class TestEnd:
    async def test_an_engine_that_ends_by_itself_fails_with_status_and_last_lines(self, on: Rig) -> None:
        await on.supervisor.start(on.spec("seq 30; echo no memory >&2; exit 3"), epoch=1)
        found = await on.ended()
        assert found.state is UnitState.FAILED
        assert found.exit is not None and found.exit.cause == "exit status 3"
        assert found.exit.last_lines == (*(str(number) for number in range(12, 31)), "no memory")
        assert found.restarts == 0

    async def test_an_engine_that_ends_well_is_remembered_though_systemd_forgets_it(self, on: Rig) -> None:
        await on.supervisor.start(on.spec("echo done"), epoch=1)
        found = await on.ended()
        assert found.state is UnitState.EXITED
        assert found.exit is not None and (found.exit.cause, found.exit.last_lines) == ("exit status 0", ("done",))

    async def test_a_program_that_is_missing_fails_at_once_with_its_name(self, on: Rig) -> None:
        for program in ("/opt/none/python", "no-such-program", "/etc/hostname"):
            spec = replace(on.spec(""), argv=(program, "serve"))
            with pytest.raises(InstanceError, match=f"cannot run {program}: .*(No such file|denied|executable)"):
                await on.supervisor.start(spec, epoch=1)

    async def test_sigterm_ignored_by_an_engine_with_setsid_workers_is_forced_within_the_budget(self, on: Rig) -> None:
        await on.supervisor.start(on.python(STUBBORN, stop_s=1.0), epoch=1)
        await on.says("ready\nready")
        assert len(await on.processes()) == 2
        report = await on.supervisor.stop(on.unit(), epoch=1)
        assert (report.gone, report.forced, report.leftovers) == (True, True, 1)
        assert 1.0 <= report.took_s < 3.0
        assert await on.processes() == []
        after = await on.seen()
        assert after.state is UnitState.EXITED and after.exit is not None and after.exit.forced

    async def test_stop_now_overtakes_a_stop_that_waits(self, on: Rig) -> None:
        await on.supervisor.start(on.python(STUBBORN, stop_s=9), epoch=1)
        await on.says("ready\nready")
        patient = asyncio.create_task(on.supervisor.stop(on.unit(), epoch=1))
        await on.becomes(UnitState.STOPPING)
        report = await on.supervisor.stop(on.unit(), epoch=1, now=True)
        assert report.gone and report.forced and report.took_s < 3
        assert (await patient).gone
        assert await on.processes() == []

    async def test_leader_killed_alone_its_workers_are_swept_and_the_cause_is_shown(self, on: Rig) -> None:
        started = await on.supervisor.start(on.python(STUBBORN), epoch=1)
        await on.says("ready\nready")
        assert started.pid is not None
        await on.kill(started.pid)
        found = await on.ended()
        assert found.state is UnitState.FAILED
        assert found.exit is not None and found.exit.cause == "killed by SIGKILL" and found.exit.leftovers == 1
        assert await on.processes() == []

    async def test_a_leader_that_leaves_a_worker_at_its_stop_is_no_forced_stop(self, on: Rig) -> None:
        await on.supervisor.start(on.python(ORPHANING), epoch=1)
        await on.says("ready\nready")
        report = await on.supervisor.stop(on.unit(), epoch=1)
        assert (report.gone, report.forced, report.leftovers) == (True, False, 1)
        assert report.took_s < 3.0

    async def test_router_killed_is_back_within_half_a_second(self, on: Rig) -> None:
        started = await on.supervisor.start(on.router("exec sleep 600"), epoch=1)
        assert started.pid is not None
        await on.kill(started.pid)

        async def back() -> bool:
            shown = await on.host.run("systemctl", "show", "-p", "MainPID", "--value", on.unit("router") + ".service")
            return int(shown) not in (0, started.pid)

        await wait_until(back, 0.5, what="the router is back")
        found = await on.seen("router")
        assert (found.state, found.restarts) == (UnitState.RUNNING, 1)
        assert found.incarnation != started.incarnation
        assert found.exit is not None and found.exit.cause == "killed by SIGKILL"
        report = await on.supervisor.stop(on.unit("router"), epoch=1, now=True)
        assert report.gone
        assert await on.processes("router") == []

    async def test_a_router_that_crashes_again_and_again_is_never_given_up(self, on: Rig) -> None:
        await on.supervisor.start(on.router("exit 1"), epoch=1)

        async def restarted() -> bool:
            return (await on.seen("router")).restarts > 6  # systemd's default limit is 5 starts in 10 s

        await wait_until(restarted, 20, what="the router is started again and again", poll_s=0.1)
        assert (await on.seen("router")).state is UnitState.RUNNING
        assert (await on.supervisor.stop(on.unit("router"), epoch=1)).gone
        assert (await on.seen("router")).state is UnitState.EXITED


class TestRefusals:
    async def test_a_gpu_that_another_clusters_unit_holds(self, on: Rig, lab: Lab) -> None:
        async with rig(lab, f"{on.cluster}-2") as other:
            await other.supervisor.start(other.spec("exec sleep 600", gpus=(0, 1)), epoch=1)
            with pytest.raises(InstanceError, match=f"GPU 1 is held by {other.unit()}, generation 1"):
                await on.supervisor.start(on.spec("exec sleep 600", gpus=(1, 2)), epoch=1)

    async def test_units_of_the_process_supervisor_in_the_same_state_directory(self, on: Rig, lab: Lab) -> None:
        """Each shows its own alone; names and GPUs are one namespace for both."""
        async with operator(lab, user="root") as shell:
            process = ProcessSupervisor(shell, on.cluster, root="/var/lib/pdctl", stop_budget_s=5.0)
            await process.start(on.spec("exec sleep 600", "n1.all.1"), epoch=1)
            assert (await on.supervisor.inspect()).units == ()
            with pytest.raises(InstanceError, match=f"GPU 0 is held by {on.unit('n1.all.1')}"):
                await on.supervisor.start(on.spec("exec sleep 600"), epoch=1)
            with pytest.raises(InstanceError, match="the `process` supervisor keeps a unit of this name"):
                await on.supervisor.start(on.spec("exec sleep 600", "n1.all.1", generation=2), epoch=1)
            assert (await process.stop(on.unit("n1.all.1"), epoch=1)).gone

            await on.supervisor.start(on.spec("exec sleep 600"), epoch=1)
            assert [unit.labels.instance for unit in (await process.inspect()).units] == ["n1.all.1"]
            with pytest.raises(InstanceError, match=f"GPU 0 is held by {on.unit()}"):
                await process.start(on.spec("exec sleep 600", "n1.all.2"), epoch=1)
            with pytest.raises(InstanceError, match="the `systemd` supervisor keeps a unit of this name"):
                await process.start(on.spec("exec sleep 600", generation=2), epoch=1)
            assert (await on.seen()).state is UnitState.RUNNING

    async def test_prod_and_prod_2_never_see_each_others_units(self, on: Rig, lab: Lab) -> None:
        async with rig(lab, f"{on.cluster}-2") as other:
            await other.supervisor.start(other.spec("exec sleep 600"), epoch=1)
            view = await on.supervisor.inspect()
            assert (view.units, view.others) == ((), (other.unit(),))
            await on.supervisor.start(on.spec("exec sleep 600", gpus=(3,)), epoch=1)
            assert [unit.labels.cluster for unit in (await other.supervisor.inspect()).units] == [other.cluster]

    async def test_a_unit_of_our_name_that_pdctl_did_not_make_is_never_touched(self, on: Rig) -> None:
        await on.host.run("systemd-run", f"--unit={on.unit()}", "sleep", "600")
        assert (await on.supervisor.inspect()).units == ()
        with pytest.raises(InstanceError, match="did not make"):
            await on.supervisor.start(on.spec("exec sleep 600"), epoch=1)
        with pytest.raises(InstanceError, match="no unit of ours"):
            await on.supervisor.stop(on.unit(), epoch=1)
        assert "active" in await on.host.run("systemctl", "is-active", on.unit())

    async def test_a_port_that_is_taken_names_its_owner(self, on: Rig) -> None:
        listen = "s = socket.create_server(('127.0.0.1', 20777)); print('ready', flush=True); time.sleep(600)"
        await on.supervisor.start(on.python("import socket, time; " + listen), epoch=1)
        await on.says("ready")
        spec = replace(on.spec("exec sleep 600", "n1.all.1", gpus=(1,)), ports=(20777,))
        with pytest.raises(InstanceError, match=r"port 20777 is taken by pid \d+ \(/usr/bin/python3"):
            await on.supervisor.start(spec, epoch=1)

    async def test_a_path_that_the_login_cannot_see(self, on: Rig) -> None:
        await on.host.run("/bin/sh", "-c", "mkdir -p -m 700 /srv/closed && touch /srv/closed/model")
        spec = replace(on.spec("exec sleep 600"), paths=("/etc/hostname", "/srv/closed/model"))
        with pytest.raises(InstanceError, match="missing on the node: /srv/closed/model"):
            await on.supervisor.start(spec, epoch=1)

    async def test_a_value_that_systemd_would_drop_is_named_without_being_shown(self, on: Rig) -> None:
        spec = replace(on.spec("exec sleep 600"), secret_env={"TOKEN": "poison\x07"})
        with pytest.raises(InstanceError, match="the value of TOKEN holds control characters") as refused:
            await on.supervisor.start(spec, epoch=1)
        assert "poison" not in str(refused.value) + refused.value.hint
        assert (await on.supervisor.inspect()).units == ()

    async def test_an_operator_who_was_overtaken(self, on: Rig) -> None:
        await on.supervisor.take_generations(1, epoch=7)
        for attempt in (
            on.supervisor.start(on.spec("exec sleep 600"), epoch=6),
            on.supervisor.stop(on.unit(), epoch=6),
            on.supervisor.forget([on.unit()], epoch=6),
        ):
            with pytest.raises(EpochRefused):
                await attempt

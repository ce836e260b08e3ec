"""Histories that once ended wrongly, each as small as it was found to be, and what was wrong with engine or harness."""

from __future__ import annotations

from typing import Final

from tests.amends.simulation.histories import Plan
from tests.amends.simulation.journeys import Part, Poke, Program
from workflows.amends.brakes.brake import BrakeScope
from workflows.amends.executor.engine import Options
from workflows.amends.simulation.cluster.clients import CancelAction, DbosToolAction, SignalAction, StartAction
from workflows.amends.simulation.cluster.faults import (
    BrakeHold,
    CommitLoss,
    Faults,
    KillFault,
    NetworkCut,
    ShutDownFault,
)
from workflows.amends.simulation.cluster.network import FaultTrap, NetworkConditions
from workflows.amends.simulation.cluster.server.server import ServerSite
from workflows.amends.values.limits import Limits


def _family(does: Part) -> Program:
    """A saga with two children at the same time, one that does something, and one that is refused."""
    refused = Part("errand", "s0.0.1", parts=(Part("refuse", "s0.0.1"),))
    return Program("s0", (Part("errands", "s0.0", parts=(Part("errand", "s0.0.0", parts=(does,)), refused)),))


FOUND: Final[dict[str, Plan]] = {
    # The answer to the start of one child came after another branch had read the history again: the event was counted
    # twice, so that the saga did not see that it had been told how a child ended, and waited for that for ever.
    "a commit whose answer comes after another branch has read again": Plan(
        seed=20143,
        faults=Faults(
            servers=(ServerSite("a"), ServerSite("b")),
            weather=NetworkConditions(slow=0.08760966034722853, longest=4.0),
            events=(ShutDownFault(at=0.19306799744826186, server=1, again_after=0.4172663226118215),),
            over=2.037269828939854,
        ),
        actions=(
            StartAction(
                0.7167731555146857,
                "s0",
                "journey",
                Program(
                    "s0",
                    (
                        Part(
                            "errands",
                            "s0.0",
                            parts=(
                                Part(
                                    "errand", "s0.0.0", parts=(Part("receive", "s0.0.0.2", seconds=1.0515184114706089),)
                                ),
                                Part(
                                    "errand",
                                    "s0.0.1",
                                    parts=(Part("gather", "s0.0.1.0", parts=(Part("notify", "s0.0.1.0", 2),)),),
                                ),
                            ),
                        ),
                    ),
                ),
            ),
        ),
        options=Options(lease=2.0),
        pace=0.0,
    ),
    # A saga was cancelled while its run waited for something that is none of its words. When another execution took it
    # over later, that went on past the place at which it had been turned back, and was stranded there.
    "a cancel while run waits for something else, and a takeover after it": Plan(
        seed=273,
        faults=Faults(
            servers=(ServerSite("a"),),
            weather=NetworkConditions(lost_requests=0.040300871858570855, longest=4.0),
            over=5.234460896976153,
        ),
        actions=(
            StartAction(
                2.4770680653829236,
                "s0",
                "journey",
                Program("s0", (Part("call", "s0.2", 1), Part("think", "s0.3", seconds=0.3))),
            ),
            CancelAction(3.134006195251703, "s0", "journey", "never mind"),
        ),
        options=Options(lease=1.0),
        pace=0.0,
        stubborn=8,
    ),
    # A transaction found, after a takeover, that others had written first. When it was too late for another try it was
    # compensated, although a transaction that is not on record has done nothing.
    "a deadline between two tries of a transaction, after a takeover": Plan(
        seed=100574,
        faults=Faults(
            servers=(ServerSite("a"),),
            weather=NetworkConditions(slow=0.046779286566461686, longest=4.0),
            events=(
                NetworkCut(at=0.9068571005634187, seconds=5.964710179152746, where="provider 1"),
                KillFault(at=1.239040963056719, server=0, again_after=1.0027184833136995),
            ),
            traps=(FaultTrap(2, None, True, False, 0.04160764180219562),),
            over=4.05730727789472,
        ),
        actions=(
            StartAction(0.5324315814116782, "s0", "dash", Program("s0", (Part("decide", "s0.1"),))),
            SignalAction(1.3863742186999795, "s0", Poke(0), "s0 poke 0"),
            StartAction(
                0.32647987356238645, "s1", "journey", Program("s1", (Part("notify", "s1.0", 1), Part("note", "s1.1")))
            ),
            SignalAction(1.777747445971022, "s1", Poke(0), "s1 poke 0"),
        ),
        options=Options(lease=2.0, running=2, limits=Limits(provider=1.0)),
        pace=0.0,
    ),
    # A fork has the result of a child that was undone since. When it turned back it asked for the compensation of a
    # child that does not exist, and waited for that for ever.
    "a fork of a compensated saga, with the result of a child": Plan(
        seed=293,
        faults=Faults(servers=(ServerSite("a"),), weather=NetworkConditions(), over=3.3878953780847434),
        actions=(
            StartAction(
                0.9363495892344302,
                "s1",
                "journey",
                Program("s1", (Part("errand", "s1.0", parts=(Part("notify", "s1.0.1", 2),)), Part("refuse", "s1"))),
            ),
            DbosToolAction(2.830797939053059, "s1", "fork"),
            SignalAction(4.019901108896977, "s1", Poke(1), "s1 poke 1"),
        ),
        options=Options(lease=1.0, limits=Limits(provider=1.0)),
        pace=0.0,
    ),
    # A call was made by an executor that died, its provider was down then, and the saga was cancelled: the call was to
    # be undone once the provider was back. The execution that was to do that turned back already where `run` waited for
    # something else, which comes before the call: so nothing was undone.
    "a cancel while a call of a dead executor waits for its provider, behind a wait of run": Plan(
        seed=3914,
        faults=Faults(
            servers=(ServerSite("a"), ServerSite("b")),
            events=(
                KillFault(at=1.18, server=0, again_after=1.5),
                NetworkCut(at=1.94, seconds=4.0, where="provider 2"),
            ),
            over=3.8,
        ),
        actions=(
            StartAction(0.955, "s0", "journey", Program("s0", (Part("think", "s0.0"), Part("call", "s0.1", 2)))),
            CancelAction(3.3, "s0", "journey", "never mind"),
        ),
        options=Options(lease=1.0),
        pace=0.4,
    ),
    # The store had lost the start of a saga, and a signal was sent to that for ever: its client did not start it again,
    # as it is asked to, and the operators, who wait for all clients, did not look after another saga.
    "a signal to a saga whose start was lost": Plan(
        seed=17560,
        faults=Faults(servers=(ServerSite("a"),), events=(CommitLoss(at=0.9537, seconds=0.0849),), over=1.377),
        actions=(
            StartAction(0.6632, "s0", "journey", Program("s0", (Part("receive", "s0.0"),))),
            StartAction(0.9346, "s1", "journey", Program("s1")),
            SignalAction(1.4792, "s1", Poke(0), "s1 poke 0"),
        ),
        options=Options(lease=2.0),
        pace=0.0,
    ),
    # A start that was sent again arrived once more after the store had lost it, and all else was done: its saga was
    # there again when no server was left that could run it.
    "a start that arrives again after the store has lost it": Plan(
        seed=15426,
        faults=Faults(
            servers=(ServerSite("a"), ServerSite("a")),
            weather=NetworkConditions(late=0.07498164913083703, longest=4.0),
            events=(CommitLoss(at=2.0727408723892964, seconds=0.8435880822031936),),
            over=3.268764908368724,
        ),
        actions=(StartAction(1.43990873684285, "s0", "dash", Program("s0", (Part("decide", "s0.2"),))),),
        options=Options(lease=1.0),
        pace=0.0,
    ),
    # Somebody else had taken the id of a child. An operator skipped its start, and when the saga turned back it had the
    # saga of somebody else undone.
    "a child that was skipped because somebody else had taken its id": Plan(
        seed=898,
        faults=Faults(servers=(ServerSite("a"),), over=3.1),
        actions=(
            StartAction(
                0.84, "s0.errand.1.0", "errand", Program("s0.errand.1.0", (Part("receive", "", seconds=3.96),))
            ),
            StartAction(
                1.135,
                "s0",
                "journey",
                Program(
                    "s0",
                    (
                        Part(
                            "errands",
                            "s0.0",
                            parts=(
                                Part("errand", "s0.0.0", parts=(Part("receive", "s0.0.0.0"),)),
                                Part("errand", "s0.0.1", parts=(Part("call", "s0.0.1.0", 2, refused=True),)),
                            ),
                        ),
                    ),
                ),
            ),
        ),
        options=Options(lease=2.0),
        pace=0.0,
    ),
    # The time limit of run was over before a step had answered, so the saga turned back. The next execution had the
    # answer at once, went on past that place, and the saga was stranded.
    "a takeover after run has stopped waiting for a step": Plan(
        seed=737,
        faults=Faults(
            servers=(ServerSite("b"), ServerSite("a")),
            weather=NetworkConditions(lost_answers=0.03561332791975637, late=0.0656544265455055),
            events=(ShutDownFault(at=0.5954271798614696, server=1, again_after=0.419639931398341),),
            over=1.0138933424635823,
        ),
        actions=(
            StartAction(
                0.4707623505315755,
                "s0",
                "journey",
                Program(
                    "s0",
                    (Part("note", "s0.0"), Part("hurry", "s0.1", seconds=0.02, parts=(Part("decide", "s0.1", 1),))),
                ),
            ),
        ),
        options=Options(lease=1.0),
        pace=0.0,
    ),
    # The run of a child failed, and an operator said what came of it. When its parent turned back the child looked
    # whether it was to turn back before it looked at that decision, and was stranded.
    "a child that an operator has completed is called back": Plan(
        seed=1039,
        faults=Faults(servers=(ServerSite("a"),), over=4.38),
        actions=(StartAction(1.8415971164012495, "s0", "journey", _family(Part("bug", "s0.0.0.0", bugs=9))),),
        options=Options(lease=2.0),
        pace=0.0,
    ),
    # The same, once its code was mended: it went on past the place about which the operator had decided.
    "a child that an operator has completed is called back after its code was mended": Plan(
        seed=1039,
        faults=Faults(servers=(ServerSite("a"),), over=4.38),
        actions=(StartAction(1.8415971164012495, "s0", "journey", _family(Part("bug", "s0.0.0.0", bugs=3))),),
        options=Options(lease=2.0),
        pace=0.0,
    ),
    # A saga turned back while a child of it was under way. That had not been completed, so it told that it had ended,
    # and not that it was undone, for which the saga waited for ever.
    "a child that is called back before it has ended": Plan(
        seed=103263,
        faults=Faults(
            servers=(ServerSite("a"), ServerSite("a")),
            weather=NetworkConditions(slow=0.05707888052723159, longest=4.0),
            events=(
                ShutDownFault(at=0.34142535599883916, server=0, again_after=2.0766764003638167),
                NetworkCut(at=1.4721479725573365, seconds=3.737975533380145, where="provider 0"),
            ),
            traps=(FaultTrap(14, 0.017350725917414614, kills=False, served=False, seconds=4.913396218684159),),
            over=3.759423446178782,
        ),
        actions=(
            StartAction(
                0.3098999017423622,
                "s0",
                "journey",
                Program(
                    "s0",
                    (
                        Part(
                            "gather",
                            "s0.0",
                            parts=(
                                Part("call", "s0.0", 0),
                                Part("call", "s0.0", 2),
                                Part(
                                    "errand",
                                    "s0.0",
                                    parts=(
                                        Part(
                                            "either",
                                            "s0.0.0",
                                            parts=(Part("call", "s0.0.0", 2), Part("call", "s0.0.0", 0)),
                                        ),
                                    ),
                                ),
                            ),
                        ),
                    ),
                ),
            ),
            CancelAction(1.0544384259942279, "s0", "journey", "never mind"),
        ),
        options=Options(lease=2.0),
        pace=0.0,
        balks=7,
    ),
    # The store lost that an executor had registered; that one accepted a saga and died. Nobody knew it, and so nobody
    # gave back what it ran: the saga stayed with it for ever.
    "an executor that died before it noticed that its registration was lost": Plan(
        seed=501238,
        faults=Faults(
            servers=(
                ServerSite(machine="b", rate=1.0, skew=0.0, without=()),
                ServerSite(machine="b", rate=1.0, skew=0.0, without=()),
            ),
            weather=NetworkConditions(
                lost_requests=0.0, lost_answers=0.0, slow=0.0, late=0.010996331093579937, longest=4.0, failing=0.0
            ),
            events=(
                ShutDownFault(at=0.5237731402588106, server=0, again_after=1.1265794599060275),
                CommitLoss(at=1.8365987666421966, seconds=0.6257412775594607),
            ),
            traps=(
                FaultTrap(number=3, late=0.0, kills=True, served=False, seconds=0.048634612360270696, cancels=False),
            ),
            over=3.1378269304461677,
        ),
        actions=(
            StartAction(
                at=1.8817575884568511,
                id="s0",
                saga="mission",
                request=Program(
                    id="s0",
                    parts=(
                        Part(
                            does="hurry",
                            who="s0.0",
                            number=0,
                            refused=False,
                            seconds=0.3,
                            parts=(
                                Part(
                                    does="call",
                                    who="s0.0",
                                    number=0,
                                    refused=True,
                                    seconds=0.0,
                                    parts=(),
                                    bugs=0,
                                    undoes=False,
                                ),
                            ),
                            bugs=0,
                            undoes=False,
                        ),
                    ),
                ),
            ),
        ),
        options=Options(
            lease=1.0, running=1000, limits=Limits(value=2097152, commit=8388608, between=2.0, provider=1.0)
        ),
        pace=0.0,
        stubborn=0,
        balks=0,
    ),
    # Cancelled just before its code, wrong for a while, began a step, a saga turned back after the number of that step.
    # Mended code began two children there: the second met the record of turning back, and the saga was stranded.
    "a saga that turned back at a step that its code does not take any more": Plan(
        seed=507495,
        faults=Faults(
            servers=(ServerSite(machine="a", rate=1.0, skew=0.0, without=()),),
            weather=NetworkConditions(
                lost_requests=0.0, lost_answers=0.0, slow=0.0, late=0.0, longest=2.0, failing=0.0
            ),
            events=(),
            traps=(
                FaultTrap(
                    number=7,
                    late=3.5487254046457837,
                    kills=True,
                    served=False,
                    seconds=0.05194921072828003,
                    cancels=False,
                ),
            ),
            over=2.7802415457541834,
        ),
        actions=(
            StartAction(
                at=1.1031907785214823,
                id="s1",
                saga="journey",
                request=Program(
                    id="s1",
                    parts=(
                        Part(
                            does="call",
                            who="s1.0",
                            number=1,
                            refused=False,
                            seconds=0.0,
                            parts=(),
                            bugs=0,
                            undoes=False,
                        ),
                        Part(
                            does="bug", who="s1", number=0, refused=False, seconds=0.0, parts=(), bugs=1, undoes=False
                        ),
                        Part(
                            does="errands",
                            who="s1.1",
                            number=0,
                            refused=False,
                            seconds=0.0,
                            parts=(
                                Part(
                                    does="errand",
                                    who="s1.1.0",
                                    number=0,
                                    refused=False,
                                    seconds=0.0,
                                    parts=(
                                        Part(
                                            does="think",
                                            who="s1.1.0.0",
                                            number=0,
                                            refused=False,
                                            seconds=0.01,
                                            parts=(),
                                            bugs=0,
                                            undoes=False,
                                        ),
                                    ),
                                    bugs=0,
                                    undoes=False,
                                ),
                                Part(
                                    does="errand",
                                    who="s1.1.1",
                                    number=0,
                                    refused=False,
                                    seconds=0.0,
                                    parts=(
                                        Part(
                                            does="decide",
                                            who="s1.1.1.0",
                                            number=0,
                                            refused=True,
                                            seconds=0.0,
                                            parts=(),
                                            bugs=0,
                                            undoes=False,
                                        ),
                                    ),
                                    bugs=0,
                                    undoes=False,
                                ),
                            ),
                            bugs=0,
                            undoes=False,
                        ),
                    ),
                ),
            ),
            CancelAction(at=1.2421597557854618, id="s1", saga="journey", reason="never mind"),
        ),
        options=Options(
            lease=1.0, running=1000, limits=Limits(value=2097152, commit=8388608, between=30.0, provider=86400.0)
        ),
        pace=0.4,
        stubborn=0,
        balks=1,
    ),
    # A saga was given back just when its executor lost its lease: the task that told the store was cancelled, and the
    # place of the saga was never free. The server waited for that for ever, and took all of the processor.
    "a lease that is taken away while a saga is given back": Plan(
        seed=525004,
        faults=Faults(
            servers=(
                ServerSite(machine="a", rate=1.0, skew=0.0, without=("dash",)),
                ServerSite(machine="a", rate=1.000599761438602, skew=0.0, without=()),
            ),
            weather=NetworkConditions(
                lost_requests=0.08029145801622238,
                lost_answers=0.018660027744215445,
                slow=0.0,
                late=0.0,
                longest=2.0,
                failing=0.10598413285685843,
            ),
            events=(),
            traps=(
                FaultTrap(
                    number=3,
                    late=0.371647690610804,
                    kills=False,
                    served=False,
                    seconds=2.253787406114033,
                    cancels=False,
                ),
                FaultTrap(
                    number=14,
                    late=2.972289576029712,
                    kills=False,
                    served=False,
                    seconds=4.097753476859651,
                    cancels=True,
                ),
            ),
            over=5.5714733897549085,
        ),
        actions=(
            StartAction(
                at=1.9261850769023738,
                id="s0",
                saga="mission",
                request=Program(
                    id="s0",
                    parts=(
                        Part(
                            does="pivot", who="s0", number=0, refused=False, seconds=0.0, parts=(), bugs=0, undoes=False
                        ),
                        Part(
                            does="hurry",
                            who="s0.0",
                            number=0,
                            refused=False,
                            seconds=0.02,
                            parts=(
                                Part(
                                    does="note",
                                    who="s0.0",
                                    number=1,
                                    refused=False,
                                    seconds=0.0,
                                    parts=(),
                                    bugs=0,
                                    undoes=False,
                                ),
                            ),
                            bugs=0,
                            undoes=False,
                        ),
                        Part(
                            does="receive",
                            who="s0.1",
                            number=0,
                            refused=False,
                            seconds=0.0,
                            parts=(),
                            bugs=0,
                            undoes=False,
                        ),
                        Part(
                            does="hurry",
                            who="s0.2",
                            number=0,
                            refused=False,
                            seconds=0.3,
                            parts=(
                                Part(
                                    does="errand",
                                    who="s0.2",
                                    number=0,
                                    refused=False,
                                    seconds=0.0,
                                    parts=(
                                        Part(
                                            does="receive",
                                            who="s0.2.0",
                                            number=0,
                                            refused=False,
                                            seconds=0.4361989264424204,
                                            parts=(),
                                            bugs=0,
                                            undoes=False,
                                        ),
                                        Part(
                                            does="call",
                                            who="s0.2.1",
                                            number=0,
                                            refused=True,
                                            seconds=0.0,
                                            parts=(),
                                            bugs=1,
                                            undoes=True,
                                        ),
                                    ),
                                    bugs=0,
                                    undoes=False,
                                ),
                            ),
                            bugs=0,
                            undoes=False,
                        ),
                        Part(
                            does="call",
                            who="s0.3",
                            number=1,
                            refused=False,
                            seconds=0.0,
                            parts=(),
                            bugs=0,
                            undoes=False,
                        ),
                        Part(
                            does="refuse",
                            who="s0",
                            number=0,
                            refused=False,
                            seconds=0.0,
                            parts=(),
                            bugs=0,
                            undoes=False,
                        ),
                        Part(
                            does="decide",
                            who="s0.4",
                            number=0,
                            refused=False,
                            seconds=0.0,
                            parts=(),
                            bugs=0,
                            undoes=False,
                        ),
                    ),
                ),
            ),
            DbosToolAction(at=6.4865447733978545, id="s0", does="cancel"),
            DbosToolAction(at=7.4865447733978545, id="s0", does="resume"),
            SignalAction(at=3.516078474370495, id="s0", signal=Poke(number=0), key="s0 poke 0"),
            SignalAction(at=3.4176142050774976, id="s0", signal=Poke(number=0), key="s0 poke 0"),
            SignalAction(at=5.746167157122224, id="s0", signal=Poke(number=1), key="s0 poke 1"),
            SignalAction(at=5.331699333047569, id="s0", signal=Poke(number=1), key="s0 poke 1"),
        ),
        options=Options(
            lease=1.0, running=2, limits=Limits(value=2097152, commit=8388608, between=2.0, provider=1000.0)
        ),
        pace=0.02,
        stubborn=0,
        balks=0,
    ),
    # What was left of the time that run has was so little that no clock shows it: it was waited for again and again.
    "a saga whose time for run ends between two instants of the clock": Plan(
        seed=717776,
        faults=Faults(
            servers=(ServerSite(machine="a", rate=1.0006673842580978, skew=0.0, without=()),),
            weather=NetworkConditions(
                lost_requests=0.0, lost_answers=0.0, slow=0.0, late=0.0, longest=2.0, failing=0.0
            ),
            events=(),
            traps=(),
            over=5.896104688675088,
        ),
        actions=(
            StartAction(
                at=1.4242959366131274,
                id="s1",
                saga="mission",
                request=Program(
                    id="s1",
                    parts=(
                        Part(
                            does="think",
                            who="s1.0",
                            number=0,
                            refused=False,
                            seconds=0.3,
                            parts=(),
                            bugs=0,
                            undoes=False,
                        ),
                        Part(
                            does="pivot", who="s1", number=2, refused=False, seconds=0.0, parts=(), bugs=0, undoes=False
                        ),
                        Part(
                            does="think",
                            who="s1.3",
                            number=0,
                            refused=False,
                            seconds=0.01,
                            parts=(),
                            bugs=0,
                            undoes=False,
                        ),
                        Part(
                            does="receive",
                            who="s1.4",
                            number=0,
                            refused=False,
                            seconds=0.0,
                            parts=(),
                            bugs=0,
                            undoes=False,
                        ),
                        Part(
                            does="hang", who="s1", number=0, refused=False, seconds=0.0, parts=(), bugs=9, undoes=False
                        ),
                    ),
                ),
            ),
            SignalAction(at=5.524307005411351, id="s1", signal=Poke(number=1), key="s1 poke 1"),
        ),
        options=Options(
            lease=2.0, running=1000, limits=Limits(value=2097152, commit=8388608, between=2.0, provider=1.0)
        ),
        pace=0.0,
        stubborn=0,
        balks=0,
    ),
    # A saga had come to a child while a brake held it, could not read the brakes, and began the child after the lift.
    # The invariant dated the beginning to the coming: it was wrong, and not the engine.
    "a step that waits at its place until the brakes are known": Plan(
        seed=2033169,
        faults=Faults(
            servers=(ServerSite(machine="b", rate=1.0, skew=0.0, without=()),),
            weather=NetworkConditions(
                lost_requests=0.0, lost_answers=0.0, slow=0.0, late=0.053465404223491136, longest=0.2, failing=0.0
            ),
            events=(
                BrakeHold(
                    at=2.765311160933727,
                    seconds=2.0,
                    scope=BrakeScope(name="journey", version=None, step=None, provider=None),
                    starts="refuse",
                    compensations=False,
                ),
            ),
            traps=(
                FaultTrap(
                    number=20,
                    late=0.01639202609037384,
                    kills=False,
                    served=False,
                    seconds=5.237820932894267,
                    cancels=False,
                ),
            ),
            over=4.496847812064159,
        ),
        actions=(
            StartAction(
                at=1.3774299463147854,
                id="s0",
                saga="journey",
                request=Program(
                    id="s0",
                    parts=(
                        Part(
                            does="errands",
                            who="s0.1",
                            number=0,
                            refused=False,
                            seconds=0.0,
                            parts=(
                                Part(
                                    does="errand",
                                    who="s0.1.0",
                                    number=0,
                                    refused=False,
                                    seconds=0.0,
                                    parts=(
                                        Part(
                                            does="gather",
                                            who="s0.1.0.1",
                                            number=0,
                                            refused=False,
                                            seconds=0.0,
                                            parts=(
                                                Part(
                                                    does="call",
                                                    who="s0.1.0.1",
                                                    number=1,
                                                    refused=False,
                                                    seconds=0.0,
                                                    parts=(),
                                                    bugs=0,
                                                    undoes=False,
                                                ),
                                            ),
                                            bugs=0,
                                            undoes=False,
                                        ),
                                    ),
                                    bugs=0,
                                    undoes=False,
                                ),
                            ),
                            bugs=0,
                            undoes=False,
                        ),
                    ),
                ),
            ),
            StartAction(
                at=0.7415858092447937,
                id="s1",
                saga="journey",
                request=Program(
                    id="s1",
                    parts=(
                        Part(
                            does="hurry",
                            who="s1.0",
                            number=0,
                            refused=False,
                            seconds=2.0,
                            parts=(
                                Part(
                                    does="errands",
                                    who="s1.0",
                                    number=0,
                                    refused=False,
                                    seconds=0.0,
                                    parts=(
                                        Part(
                                            does="errand",
                                            who="s1.0.0",
                                            number=0,
                                            refused=False,
                                            seconds=0.0,
                                            parts=(
                                                Part(
                                                    does="note",
                                                    who="s1.0.0.0",
                                                    number=0,
                                                    refused=False,
                                                    seconds=0.0,
                                                    parts=(),
                                                    bugs=0,
                                                    undoes=False,
                                                ),
                                                Part(
                                                    does="sleep",
                                                    who="s1.0.0.1",
                                                    number=0,
                                                    refused=False,
                                                    seconds=0.037750908769069356,
                                                    parts=(),
                                                    bugs=0,
                                                    undoes=False,
                                                ),
                                            ),
                                            bugs=0,
                                            undoes=False,
                                        ),
                                        Part(
                                            does="errand",
                                            who="s1.0.1",
                                            number=0,
                                            refused=False,
                                            seconds=0.0,
                                            parts=(
                                                Part(
                                                    does="call",
                                                    who="s1.0.1.0",
                                                    number=1,
                                                    refused=False,
                                                    seconds=0.0,
                                                    parts=(),
                                                    bugs=0,
                                                    undoes=False,
                                                ),
                                            ),
                                            bugs=0,
                                            undoes=False,
                                        ),
                                    ),
                                    bugs=0,
                                    undoes=False,
                                ),
                            ),
                            bugs=0,
                            undoes=False,
                        ),
                        Part(
                            does="errands",
                            who="s1.2",
                            number=0,
                            refused=False,
                            seconds=0.0,
                            parts=(
                                Part(
                                    does="errand",
                                    who="s1.2.1",
                                    number=0,
                                    refused=False,
                                    seconds=0.0,
                                    parts=(
                                        Part(
                                            does="call",
                                            who="s1.2.1.2",
                                            number=2,
                                            refused=False,
                                            seconds=0.0,
                                            parts=(),
                                            bugs=2,
                                            undoes=True,
                                        ),
                                    ),
                                    bugs=0,
                                    undoes=False,
                                ),
                            ),
                            bugs=0,
                            undoes=False,
                        ),
                    ),
                ),
            ),
        ),
        options=Options(
            lease=2.0, running=1000, limits=Limits(value=2097152, commit=8388608, between=30.0, provider=86400.0)
        ),
        pace=0.0,
        stubborn=0,
        balks=0,
    ),
    # An operator said what came of a saga as a whole, after its run had stopped waiting for a step that was tried. The
    # number of that step was taken for the end of the saga: it was stranded, for the record had another name there.
    "an operator's word on a whole saga with a step that was begun": Plan(
        seed=6015744,
        faults=Faults(
            servers=(
                ServerSite(machine="a", rate=1.0, skew=0.0, without=()),
                ServerSite(machine="a", rate=1.0, skew=0.0, without=()),
                ServerSite(machine="a", rate=1.0, skew=0.0, without=()),
            ),
            weather=NetworkConditions(
                lost_requests=0.0,
                lost_answers=0.06276096676949683,
                slow=0.0,
                late=0.0639360322820112,
                longest=2.0,
                failing=0.0,
            ),
            events=(KillFault(at=0.36304824584955175, server=2, again_after=2.633565078308897),),
            traps=(),
            over=1.1659945239431808,
        ),
        actions=(
            StartAction(
                at=0.41923531417970356,
                id="s0",
                saga="errand",
                request=Program(
                    id="s0",
                    parts=(
                        Part(
                            does="sleep",
                            who="s0.0",
                            number=0,
                            refused=False,
                            seconds=0.05812454977610862,
                            parts=(),
                            bugs=0,
                            undoes=False,
                        ),
                    ),
                ),
            ),
            StartAction(
                at=0.25330712943189104,
                id="s1",
                saga="mission",
                request=Program(
                    id="s1",
                    parts=(
                        Part(
                            does="sleep",
                            who="s1.0",
                            number=0,
                            refused=False,
                            seconds=1.185310298992243,
                            parts=(),
                            bugs=0,
                            undoes=False,
                        ),
                        Part(
                            does="pivot", who="s1", number=0, refused=False, seconds=0.0, parts=(), bugs=0, undoes=False
                        ),
                        Part(
                            does="hurry",
                            who="s1.1",
                            number=0,
                            refused=False,
                            seconds=0.02,
                            parts=(
                                Part(
                                    does="call",
                                    who="s1.1",
                                    number=2,
                                    refused=False,
                                    seconds=0.0,
                                    parts=(),
                                    bugs=0,
                                    undoes=False,
                                ),
                            ),
                            bugs=0,
                            undoes=False,
                        ),
                    ),
                ),
            ),
            SignalAction(at=1.1472458434362278, id="s1", signal=Poke(number=0), key="s1 poke 0"),
            SignalAction(at=1.2771508247936352, id="s1", signal=Poke(number=0), key="s1 poke 0"),
        ),
        options=Options(
            lease=2.0, running=1000, limits=Limits(value=2097152, commit=8388608, between=2.0, provider=1000.0)
        ),
        pace=1.0,
        stubborn=0,
        balks=7,
    ),
}

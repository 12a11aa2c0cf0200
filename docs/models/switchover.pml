/*
 * switchover.pml: who runs the guest when a migration ends, whatever happens on the way.
 *
 * One source and one destination, each a program that may die at any step. The destination is a
 * ramjet, which waits for RUN, or a QEMU, which does not. A source whose guest goes on may migrate
 * once more, to the destination that was started again. A source that is started again has no
 * guest, so there is nothing of it here.
 *
 * Inline steps bear the names of the C functions that do them. README.md says how to run it.
 *
 *   -DNO_FAULTS   nothing goes wrong: then the guest arrives
 *   -DBREAK_…     one mistake each, which spin must find
 *   -DQEMU_HALF_CUT  the one case in which a QEMU's SHUT is no proof; spin finds it, too
 *
 * Not here: SWITCHOVER_ALIVE, since it only puts off a time limit, and here any limit may expire
 * at any moment; and a stopped process, since here any may stand still for any time.
 */
#ifdef NO_FAULTS
#define FAULTY false
#else
#define FAULTY true
#endif

/* What travels. END is the byte that ends the devices; a QEMU needs nothing after it. */
mtype:message = {
    OFFER, DEVICES, END, DESCRIPTION, RUN, DROP,    /* source to destination */
    PONG, PONG_ACCEPTED, SWITCHOVER_READY, SHUT_0, SHUT_ERROR, /* destination to source */
    LOST, TIMED_OUT, CANCELLED                      /* how a wait ends without a message */
};

/* What an end tells its user when all is over. */
mtype:word = {
    NOTHING,
    COMPLETED,    /* the guest runs at the destination */
    RUNS_HERE,    /* source, failed or cancelled: the guest goes on here */
    NOBODY_KNOWS, /* source, failed: the guest is stopped here; it may run at the destination */
    KEPT,         /* destination, failed: the guest is stopped here; it may run at the source */
    DISCARDED     /* destination, failed: there is no guest here */
};

chan to_destination = [6] of { mtype:message };
chan to_source = [4] of { mtype:message };
bool cut_out, cut_back; /* nothing more arrives there */

bool source_over, source_dead;
bool source_runs = true;
bool source_resumed; /* it has given up, and its guest goes on */
mtype:word source_says = NOTHING;

bool destination_over, destination_dead;
bool destination_runs, destination_ran;
bool whole; /* the guest is at the destination, and nobody has said that it is not wanted */
mtype:word destination_says = NOTHING;

bool again; /* this is the second attempt */

/* --- the connection -------------------------------------------------------------------------- */

/*
 * A message goes under way, or a cut comes first: then nothing more arrives, and the writer may
 * notice or not. A write that fails may have arrived nevertheless.
 */
inline write(where, cut, what)
{
    atomic {
        if
        :: !cut -> where!what
        :: FAULTY -> cut = true
        :: cut
        fi;
        if
        :: well = true
        :: FAULTY -> well = false
        fi
    }
}

/* A cut may lose the end of what is under way; without faults all arrives before the close. */
inline read(where, cut)
{
    atomic {
        if
        :: where?got
        :: FAULTY || cut && empty(where) -> got = LOST
        :: FAULTY -> got = TIMED_OUT
        :: FAULTY -> got = CANCELLED /* by the user of this end */
        fi
    }
}

/* The peer may still read what is under way to it. */
inline close(unread)
{
    atomic {
        cut_out = true;
        cut_back = true;
        do
        :: unread?_
        :: empty(unread) -> break
        od;
        well = false;
        got = LOST
    }
}

/* --- the source ------------------------------------------------------------------------------ */

#define SAY(what) write(to_destination, cut_out, what)
#define HEAR      read(to_source, cut_back)

inline source_stop_guest()
{
    source_runs = false
}

inline source_release_guest()
{
    atomic {
        assert(!destination_runs); /* never two run */
        source_resumed = true;
        source_runs = true;
        source_says = RUNS_HERE
    }
}

/* Everything that the destination needs to run the guest. */
inline send_tail()
{
    SAY(DEVICES);
    if
    :: well -> SAY(END)
    :: else
    fi;
    if
    :: well -> asking = true; SAY(DESCRIPTION)
    :: else
    fi
}

/* A verdict may have come that nobody has looked at yet. */
inline return_reader_end()
{
    do
    :: got == SHUT_ERROR -> break
    :: got != SHUT_ERROR && nempty(to_source) -> to_source?got
    :: break
    od
}

/* The destination that asks, or will, is told not to wait. */
inline farewell()
{
    if
    :: asking -> SAY(DROP)
    :: asking && FAULTY /* the connection does not take it */
    :: else
    fi
}

inline give_up()
{
    farewell();
    return_reader_end();
    if
    :: !left -> source_release_guest()
    :: left && got == SHUT_ERROR && !torn -> source_release_guest()
    :: else ->
#ifdef BREAK_RESUME_AFTER_RUN
        source_release_guest()
#else
        source_says = NOBODY_KNOWS
#endif
    fi
}

/* A cancel that came before READY wins; one that comes later does not. */
inline channel_group_settle()
{
    if
    :: true
    :: FAULTY -> got = CANCELLED
    fi
}

inline decide()
{
    channel_group_settle();
    if
    :: got == SWITCHOVER_READY -> asking = false
    :: else
    fi
}

inline switch_confirmed()
{
    send_tail();
    if
    :: well ->
        HEAR; /* return_reader_await_ready() */
        if
        :: got == SWITCHOVER_READY -> decide()
        :: else
        fi
    :: else
    fi;
    if
    :: well && got == SWITCHOVER_READY ->
        left = true; /* also where only a part of the word was written */
        SAY(RUN);    /* send_run() */
        if
        :: well -> HEAR /* return_reader_await_verdict() */
        :: else
        fi
    :: else
    fi
}

/* Once END was tried a QEMU may have all that it needs, even if the write fails. */
inline switch_unconfirmed()
{
    SAY(DEVICES);
    if
    :: well ->
#ifndef BREAK_RESUME_AFTER_END
        left = true;
#endif
        torn = true;
        SAY(END)
    :: else
    fi;
    if
    :: well -> SAY(DESCRIPTION)
    :: else
    fi;
    if
    :: well ->
        left = true;
        torn = false;
        HEAR /* return_reader_await_verdict() */
    :: else
    fi
}

inline source_run()
{
    SAY(OFFER); /* open_return_path() */
    if
    :: well -> HEAR /* return_reader_await_pong() */
    :: else
    fi;
    if
    :: got == PONG -> source_stop_guest(); switch_unconfirmed()
    :: got == PONG_ACCEPTED -> source_stop_guest(); switch_confirmed()
    :: else
    fi;
    if
    :: got == SHUT_0 -> source_says = COMPLETED
    :: else -> give_up()
    fi;
    close(to_source);
    asking = false; left = false; torn = false
}

/* The user tries again: both ends are over, and the destination was started again. */
inline start_again()
{
    atomic {
        source_runs && destination_over && !again -> again = true;
        cut_out = false; cut_back = false;
        source_says = NOTHING; source_resumed = false;
        destination_says = NOTHING; destination_dead = false; destination_over = false;
        whole = false;
        run Destination()
    }
}

proctype Source()
{
    bool asking, left, torn, well;
    mtype:message got = LOST;

    {
        source_run();
        if
        :: start_again(); source_run()
        :: true
        fi
    } unless { source_dead }
    atomic {
        if
        :: source_dead -> source_runs = false; close(to_source)
        :: else
        fi;
        source_over = true
    }
}

/* --- the destination ------------------------------------------------------------------------- */

#define REPLY(what) write(to_source, cut_back, what)
#define TAKE        read(to_destination, cut_out)

/* The guest runs. */
inline let_run()
{
    atomic {
        assert(!source_runs);    /* never two run */
        assert(!source_resumed); /* a source that resumes is right */
        whole = false;
        destination_runs = true;
        destination_ran = true;
        destination_says = COMPLETED
    }
}

/* SHUT with an error: this end does not let the guest run, now or later. */
inline refuse()
{
    REPLY(SHUT_ERROR)
}

/* The source may be dead, and this the only guest there is: its user decides. */
inline hold_guest()
{
    destination_says = KEPT;
    refuse()
}

inline discard()
{
    whole = false;
    destination_says = DISCARDED;
    refuse()
}

inline answer_ping()
{
    if
    :: is_qemu -> REPLY(PONG)
    :: else -> REPLY(PONG_ACCEPTED)
    fi
}

/* The stream through END. A reply that could not be written shows at the next read. */
inline destination_load()
{
    TAKE;
    if
    :: got == OFFER -> answer_ping(); TAKE
    :: else
    fi;
    if
    :: got == DEVICES -> TAKE
    :: else
    fi
}

inline target_prepare()
{
    if
    :: whole = true
    :: FAULTY
    fi
}

inline target_commit()
{
    if
    :: let_run(); REPLY(SHUT_0)
    :: FAULTY -> discard() /* it has failed */
    fi
}

inline await_run()
{
    TAKE;
    if
    :: got == RUN -> target_commit()
    :: got == DROP || got == CANCELLED -> discard()
    :: got == LOST ->
#ifdef BREAK_RUN_ON_CLOSE
        target_commit()
#else
        hold_guest()
#endif
    :: got == TIMED_OUT ->
#ifdef BREAK_DISCARD_ON_TIMEOUT
        destination_says = DISCARDED; refuse()
#else
        hold_guest()
#endif
    fi
}

inline destination_switch_over()
{
    target_prepare();
    if
    :: whole ->
#ifndef BREAK_NO_READY
        REPLY(SWITCHOVER_READY);
#endif
#ifdef BREAK_RUN_AT_READY
        target_commit()
#else
        await_run()
#endif
    :: else -> discard()
    fi
}

inline destination_run()
{
    destination_load();
    if
    :: got == END -> TAKE
    :: else
    fi;
    if
    :: got == DESCRIPTION -> destination_switch_over()
    :: else -> discard()
    fi
}

/*
 * A QEMU runs on END. A description that does not come is a message there, and a SHUT that says
 * error of a guest that runs; it can reach the source only where the connection was cut in one
 * direction, in those few bytes. That is the one case in which two run, and no source can tell.
 */
inline qemu_run()
{
    destination_load();
    if
    :: got == END ->
        TAKE;
        let_run();
        if
        :: got == DESCRIPTION -> REPLY(SHUT_0)
        :: else ->
#ifndef QEMU_HALF_CUT
            cut_back = true;
#endif
            REPLY(SHUT_ERROR)
        fi
    :: else -> discard()
    fi
}

proctype Destination()
{
    bool is_qemu, well;
    mtype:message got = LOST;

    {
        if
        :: is_qemu = true; qemu_run()
        :: destination_run()
        fi;
        close(to_destination)
    } unless { destination_dead }
    atomic {
        if
        :: destination_dead -> destination_runs = false; whole = false; close(to_destination)
        :: else
        fi;
        is_qemu = false;
        destination_over = true
    }
}

/* --- what may happen, and what must hold ----------------------------------------------------- */

/* kill -9, or a host without power: at any moment, or never. */
proctype Death()
{
    do
    :: atomic { FAULTY && !source_over && !source_dead -> source_dead = true }
    :: atomic { FAULTY && !destination_over && !destination_dead -> destination_dead = true }
    :: break
    od
}

#define ALL_OVER (source_over && destination_over)

/* When all is over, whoever lives has said what is so, above all where nobody runs. */
proctype User()
{
    ALL_OVER;
    atomic {
        assert(source_dead || source_says != NOTHING);
        assert(source_dead || source_runs == (source_says == RUNS_HERE));
        assert(source_dead || source_says != COMPLETED || destination_ran);
        assert(destination_dead || destination_says != NOTHING);
        assert(destination_dead || destination_runs == (destination_says == COMPLETED));
        /* What is whole at a destination that lives is thrown away only by those who may. */
        assert(!whole || destination_says == KEPT);
#ifdef NEVER_SAID
        assert(source_says != NEVER_SAID && destination_says != NEVER_SAID)
#endif
    }
}

init {
    atomic {
        run Death();
        run User();
        run Source();
        run Destination()
    }
}

/* Without faults the guest arrives; with any, both ends come to an end. */
#ifdef NO_FAULTS
ltl comes_to_an_end { <> (ALL_OVER && destination_runs && source_says == COMPLETED) }
#else
ltl comes_to_an_end { <> ALL_OVER }
#endif

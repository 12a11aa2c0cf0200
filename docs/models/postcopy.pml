/*
 * postcopy.pml: who runs the guest after a switch to postcopy, and what becomes of its pages,
 * whatever is cut, killed or reconnected on the way.
 *
 * One source, one destination, two pages that are still to come when the source switches. The user
 * may let the source reconnect whenever both ends are paused. README.md says how to run it.
 *
 *   -DNO_FAULTS   nothing goes wrong: then the guest arrives with all of its pages
 *   -DONE_CUT     the connection is cut once, the user reconnects: the same
 *   -DBREAK_…     one mistake each, which spin must find
 *
 * Not here: precopy, discards, and the order of the pages; a time limit, which is a cut here.
 */
#if defined(NO_FAULTS)
#define CAN_CUT  false
#define CAN_FAIL false
#elif defined(ONE_CUT)
#define CAN_CUT  (cuts == 0)
#define CAN_FAIL false
#else
#define CAN_CUT  (cuts < 2)
#define CAN_FAIL true
#endif

mtype:message = {
    PACKAGE,                     /* all devices; its last word is RUN */
    PAGE_0, PAGE_1, END, RESUME, /* source to destination */
    REQUEST_0, REQUEST_1, BITMAP, SHUT_0, SHUT_ERROR, /* destination to source */
    LOST
};

/* What an end tells its user when all is over. */
mtype:word = {
    NOTHING,
    COMPLETED, /* the guest runs at the destination, with all pages there */
    RUNS_HERE, /* source: it has failed, the guest goes on here */
    PAUSED,    /* source: the guest is stopped here, and its pages are kept; destination: it runs
                * until it needs a page that is missing */
    DISCARDED  /* destination: the guest never ran here, and never will */
};

chan to_destination = [3] of { mtype:message };
chan to_source = [2] of { mtype:message };
bool cut;    /* nothing more arrives on the present connection */
byte cuts;
bool dialed; /* the source has reconnected, and the destination has not looked yet */
bool sent_bitmap[2]; /* what BITMAP carries: the pages that have come */

bool source_over, source_dead, source_waits;
bool source_runs = true, source_keeps = true; /* the guest; its memory */
mtype:word source_says = NOTHING;

bool destination_over, destination_dead, destination_waits;
bool destination_runs;
bool came[2];    /* the page is in its place */
bool written[2]; /* the guest has changed it there */
mtype:word destination_says = NOTHING;

mtype:message stale = LOST; /* a page that another connection's reader has in its hands */

/* --- the connection -------------------------------------------------------------------------- */

inline break_connection()
{
    atomic {
        cut = true;
        cuts++
    }
}

/* A message goes under way, or a cut comes first. The writer may notice or not, and a write that
 * fails may have arrived. */
inline write(where, what)
{
    atomic {
        if
        :: !cut && nfull(where) -> where!what
        :: !cut && CAN_CUT -> break_connection()
        :: !cut && nfull(where) && CAN_CUT -> where!what; break_connection()
        :: cut
        fi;
        well = !cut
    }
}

/* A cut may lose the end of what is under way, or leave it readable. */
inline read(where)
{
    atomic {
        if
        :: where?got
        :: cut -> got = LOST
        :: CAN_CUT && !cut -> break_connection(); got = LOST
        fi
    }
}

/* --- the source ------------------------------------------------------------------------------ */

#define SAY(what) write(to_destination, what)
#define HEAR      read(to_source)

inline resume_guest()
{
    atomic {
        assert(!destination_runs); /* never two run */
        source_runs = true;
        source_says = RUNS_HERE
    }
}

/* Answers a request at once; the rest goes in order. A page is owed until the destination says
 * that it has come, or has everything. */
inline send_pages()
{
    do
    :: well && nempty(to_source) ->
        HEAR;
        if
        :: got == REQUEST_0 && owed[0] -> SAY(PAGE_0); owed[0] = false
        :: got == REQUEST_1 && owed[1] -> SAY(PAGE_1); owed[1] = false
        :: got == SHUT_ERROR || got == LOST -> break
        :: else
        fi
    :: well && owed[0] -> SAY(PAGE_0); owed[0] = false
    :: well && owed[1] -> SAY(PAGE_1); owed[1] = false
    :: !well || !owed[0] && !owed[1] -> break
    od
}

/* Until the verdict. A request for a page that is under way may still come. */
inline end_pages()
{
    SAY(END);
#ifdef BREAK_FREE_AT_END
    source_keeps = false;
#endif
    do
    :: HEAR;
        if
        :: got == SHUT_0 || got == SHUT_ERROR || got == LOST -> break
        :: else
        fi
    od
}

/* The switch. Before the package is handed over, the guest may go on here whatever happens. */
inline switch_to_postcopy()
{
    source_runs = false;
    if
    :: CAN_FAIL -> got = LOST
    :: left = true; SAY(PACKAGE)
    fi
}

inline pause_source()
{
#ifdef BREAK_RESUME_AFTER_PACKAGE
    resume_guest();
#else
    source_says = PAUSED;
#endif
    well = false
}

/* The user's `migrate resume`: a new connection. What has come is asked for, not remembered: what
 * was sent may have been lost. */
inline reconnect()
{
    atomic {
        if
        :: destination_waits && !dialed ->
            cut = false;
            do
            :: to_source?_
            :: to_destination?_
            :: empty(to_source) && empty(to_destination) -> break
            od;
            dialed = true
        :: destination_over /* nobody listens: the connection is as cut as before */
        fi
    }
    HEAR;
    if
    :: got == BITMAP ->
#ifndef BREAK_NO_BITMAP
        owed[0] = !sent_bitmap[0];
        owed[1] = !sent_bitmap[1];
#endif
        SAY(RESUME)
    :: else -> well = false
    fi
}

inline postcopy()
{
    if
    :: well -> send_pages()
    :: else
    fi;
    if
    :: well && got != SHUT_ERROR && got != LOST -> end_pages()
    :: else
    fi
}

proctype Source()
{
    bool well = true, left;
    bool owed[2];
    mtype:message got = END;

    {
        owed[0] = true;
        owed[1] = true;
        switch_to_postcopy();
        postcopy();
        do
        :: got == SHUT_0 ->
            atomic { source_keeps = false; source_says = COMPLETED };
            break
        :: got != SHUT_0 && !left -> resume_guest(); break
        :: got == SHUT_ERROR -> resume_guest(); break /* it never ran there, and never will */
        :: else ->
            pause_source();
            source_waits = true;
            if
            :: source_says == RUNS_HERE -> break
            :: source_says == PAUSED && destination_over -> break
            :: source_says == PAUSED && !destination_over && destination_waits ->
                source_waits = false;
                got = END;
                reconnect();
                postcopy()
            fi
        od
    } unless { source_dead }
    atomic {
        if
        :: source_dead -> source_runs = false; source_keeps = false; cut = true
        :: else
        fi;
        source_over = true
    }
}

/* --- the destination ------------------------------------------------------------------------- */

#define REPLY(what) write(to_source, what)
#define TAKE        read(to_destination)

/* As the kernel does it: atomically, and not over a page that is there. */
inline place(page)
{
    atomic {
#ifndef BREAK_OVERWRITE
        if
        :: !came[page]
#else
        assert(!written[page]); /* what the guest has written is lost */
        if
        :: true
#endif
            -> came[page] = true
        :: else
        fi
    }
}

inline let_run()
{
    atomic {
        assert(!source_runs); /* never two run */
        destination_runs = true
    }
}

/* One step of the guest: it writes a page that is there, or waits for one that is not. */
inline guest_step()
{
    if
    :: came[0] -> written[0] = true
    :: came[1] -> written[1] = true
    :: !came[0] -> REPLY(REQUEST_0)
    :: !came[1] -> REPLY(REQUEST_1)
    fi
}

inline take_pages()
{
    do
    :: nfull(to_source) && steps < 2 -> steps++; guest_step()
    :: TAKE;
        if
        :: got == PAGE_0 -> place(0)
        :: got == PAGE_1 -> place(1)
        :: got == END -> break
        :: got == LOST -> break
        :: else
        fi
    od
}

/* A page that the cut connection had delivered may still be on its way into its place: by a
 * second reader, the preempt channel's. */
inline leave_stale()
{
    atomic {
        if
        :: stale == LOST && to_destination?[PAGE_0] -> to_destination?stale
        :: stale == LOST && to_destination?[PAGE_1] -> to_destination?stale
        :: true
        fi
    }
}

proctype StaleReader()
{
end:
    do
    :: atomic { stale == PAGE_0 -> place(0); stale = LOST }
    :: atomic { stale == PAGE_1 -> place(1); stale = LOST }
    od
}

inline await_recovery()
{
    leave_stale();
    destination_says = PAUSED;
    destination_waits = true;
    if
    :: atomic { dialed -> dialed = false; destination_waits = false };
        atomic { sent_bitmap[0] = came[0]; sent_bitmap[1] = came[1] };
        REPLY(BITMAP);
        TAKE
    :: source_over -> got = SHUT_ERROR /* nobody will come */
    fi
}

inline destination_postcopy()
{
    let_run();
    steps = 0;
    do
    :: take_pages();
        if
        :: got == END ->
            assert(came[0] && came[1]); /* all that was owed has come */
            destination_says = COMPLETED;
            REPLY(SHUT_0);
            break
        :: else
        fi;
        do
        :: await_recovery();
            if
            :: got == RESUME || got == SHUT_ERROR -> break
            :: else
            fi
        od;
        if
        :: got == SHUT_ERROR -> break
        :: else
        fi
    od
}

proctype Destination()
{
    bool well;
    byte steps;
    mtype:message got = LOST;

    {
        TAKE;
        if
        :: got == PACKAGE -> destination_postcopy()
        :: got != PACKAGE -> destination_says = DISCARDED; REPLY(SHUT_ERROR)
        :: got == PACKAGE && CAN_FAIL -> /* a device could not be loaded */
            destination_says = DISCARDED;
            REPLY(SHUT_ERROR)
        fi
    } unless { destination_dead }
    atomic {
        if
        :: destination_dead -> destination_runs = false; destination_waits = false; cut = true
        :: else
        fi;
        destination_over = true
    }
}

/* --- what may happen, and what must hold ----------------------------------------------------- */

proctype Death()
{
    do
    :: atomic { CAN_FAIL && !source_over && !source_dead -> source_dead = true }
    :: atomic { CAN_FAIL && !destination_over && !destination_dead -> destination_dead = true }
    :: break
    od
}

#define ALL_OVER (source_over && destination_over)

proctype User()
{
    ALL_OVER;
    atomic {
        assert(source_dead || source_says != NOTHING);
        assert(source_dead || source_runs == (source_says == RUNS_HERE));
        assert(source_dead || source_says != COMPLETED || came[0] && came[1]);
        assert(destination_dead || destination_says != NOTHING);
        assert(destination_dead || destination_runs == (destination_says != DISCARDED));
        /* Whoever lives has what is needed to go on, unless the only one that had it was killed. */
        assert(source_dead || source_keeps || came[0] && came[1]);
#ifdef NEVER_SAID
        assert(source_says != NEVER_SAID && destination_says != NEVER_SAID)
#endif
    }
}

init {
    atomic {
        run Death();
        run User();
        run StaleReader();
        run Source();
        run Destination()
    }
}

/* After one cut the guest arrives, too, though the source may not hear of it; unless the cut took the
 * package: then the destination says that the guest never ran there, and the source's user may let
 * it go on. */
#ifdef NO_FAULTS
ltl comes_to_an_end { <> (ALL_OVER && source_says == COMPLETED) }
#elif defined(ONE_CUT)
ltl comes_to_an_end {
    <> (ALL_OVER && (destination_says == COMPLETED || destination_says == DISCARDED))
}
#else
ltl comes_to_an_end { <> ALL_OVER }
#endif

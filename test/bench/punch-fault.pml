/* The punch/fault protocol of test/explore/punch-fault.ts for SPIN, one atomic step per transition, so that the numbers of states can be compared.
   Sizes come from the command line: -DPAGES=3 -DVCPUS=3 -DHOSTS=2 -DFAULTS=2, -DALLOCATORS=1 -DROUNDS=2, and -DBUGGY or -DNOSEQ for the broken variants. */

byte cache[PAGES];      /* frame that the file holds, 0 = none; frames count from 1 */
byte spte[PAGES];       /* frame that the second-level table maps, 0 = none */
byte in_progress;
byte seq;
bit  mmu_lock;
#if ALLOCATORS == 1
byte taken;             /* frame of the allocator, 0 = none */
#define TAKEN(f) (taken == f)
#else
#define TAKEN(f) false
#endif

#define FRESH(page) (spte[page] == 0 || spte[page] == cache[page])

#if PAGES == 1
#define HELD(f) (cache[0] == f || TAKEN(f))
#elif PAGES == 2
#define HELD(f) (cache[0] == f || cache[1] == f || TAKEN(f))
#else
#define HELD(f) (cache[0] == f || cache[1] == f || cache[2] == f || TAKEN(f))
#endif

inline lowest_free(into) {
  into = 1;
  do
  :: HELD(into) -> into++
  :: else -> break
  od
}

#ifdef NOSEQ
#define MOVED false
#else
#define MOVED (seq != snapshot)
#endif

active [VCPUS] proctype vcpu() {
  byte done, snapshot, pfn;
end_fault:
  if
  :: d_step { done < FAULTS -> snapshot = seq }
  fi;
  d_step {
    if
    :: cache[done % PAGES] == 0 -> lowest_free(pfn); cache[done % PAGES] = pfn
    :: else -> pfn = cache[done % PAGES]
    fi
  };
  d_step { mmu_lock == 0 -> mmu_lock = 1 };
  if
  :: d_step { in_progress > 0 || MOVED -> skip };
     d_step { mmu_lock = 0; snapshot = 0; pfn = 0 }
  :: d_step { in_progress == 0 && !MOVED -> skip };
     d_step { spte[done % PAGES] = pfn; assert(FRESH(done % PAGES)) };
     d_step { mmu_lock = 0; snapshot = 0; pfn = 0; done++ }
  fi;
  goto end_fault
}

/* _pid of the first host is VCPUS; host h punches the pages from h % PAGES on. */
#define FIRST ((_pid - VCPUS) % PAGES)

active [HOSTS] proctype host() {
  byte page;
#ifdef BUGGY
  d_step { page = FIRST; cache[page] = 0; assert(FRESH(page)); page++ };
  do
  :: d_step { page < PAGES -> cache[page] = 0; assert(FRESH(page)); page++ }
  :: d_step { page == PAGES && mmu_lock == 0 -> mmu_lock = 1; page = FIRST } -> break
  od;
  do
  :: d_step { page < PAGES - 1 -> spte[page] = 0; page++ }
  :: d_step { page == PAGES - 1 -> spte[page] = 0; page = 0 } -> break
  od;
  seq++;
  mmu_lock = 0;
#else
  d_step { mmu_lock == 0 -> mmu_lock = 1 };
  d_step { in_progress++; page = FIRST };
  do
  :: d_step { page < PAGES - 1 -> spte[page] = 0; page++ }
  :: d_step { page == PAGES - 1 -> spte[page] = 0; page = FIRST } -> break
  od;
  mmu_lock = 0;
  do
  :: d_step { page < PAGES - 1 -> cache[page] = 0; assert(FRESH(page)); page++ }
  :: d_step { page == PAGES - 1 -> cache[page] = 0; assert(FRESH(page)); page = 0 } -> break
  od;
  if   /* SPIN lets no break lead straight into a d_step */
  :: d_step { mmu_lock == 0 -> mmu_lock = 1 }
  fi;
  d_step { in_progress--; seq++ };
  mmu_lock = 0;
#endif
end_host:
  false
}

#if ALLOCATORS == 1
active proctype allocator() {
  byte rounds, frame;
end_allocator:
  if
  :: d_step { rounds < ROUNDS -> lowest_free(frame); taken = frame; frame = 0 }
  fi;
  d_step { taken = 0; rounds++ };
  goto end_allocator
}
#endif

//! Threads that stay: they spin between the operations of a token and sleep between requests.
//!
//! A job is a number of units. Each thread has a share of consecutive ones, whose memory it reads in order, and helps the
//! others when it is done: two threads that take turns at neighbouring units make each other's processor fetch ahead what
//! it will not need. The pool knows no operation; what a unit writes is its own part of a plane, so results never depend on
//! who computed them.
#![expect(
    unsafe_code,
    reason = "the pool fence: threads outlive the borrows of a job, and write parts of one slice"
)]

use super::{Act, Error};
use std::any::Any;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A job smaller than this many multiply-adds is not worth handing over: a hand-over takes about a microsecond.
const GRAIN: usize = 1 << 15;
/// How often a thread looks for a new job before it sleeps: some 0.2 ms, more than the gaps within a token, less than
/// anybody notices as load.
const SPINS: u32 = 1 << 13;

/// A fixed number of threads, the caller's included.
#[derive(Debug)]
pub struct Pool {
    threads: usize,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// Keeps what one thread writes out of the cache line that another reads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

#[derive(Debug)]
struct Shared {
    /// Counts the beginnings and ends of jobs: odd while there is one.
    epoch: Line<AtomicU32>,
    /// How many units of each thread's share were asked for, by whomever.
    asked: Vec<Line<AtomicUsize>>,
    /// Workers that may look at the job.
    inside: Line<AtomicUsize>,
    /// Workers that sleep or are about to.
    asleep: Line<AtomicUsize>,
    stop: AtomicBool,
    job: UnsafeCell<Job>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written by the pool's owner alone, while the epoch is even and, after that was to be seen, `inside` was 0.
// A worker reads it after it counted itself inside and then saw an odd epoch: it saw the end of the job before, or it was
// counted. Everything else is shared by itself.
unsafe impl Sync for Shared {}
// SAFETY: as above; a `Job` is a shared reference to a `Sync` closure.
unsafe impl Send for Shared {}

#[derive(Debug, Clone, Copy)]
struct Job {
    units: usize,
    /// `work(closure, thread, unit)`
    work: unsafe fn(*const (), usize, usize),
    closure: *const (),
}

/// # Safety
/// `closure` points to a living `F`.
unsafe fn call<F: Fn(usize, usize)>(closure: *const (), thread: usize, unit: usize) {
    // SAFETY: the caller's promise.
    let work = unsafe { &*closure.cast::<F>() };
    work(thread, unit);
}

/// # Safety
/// None needed: it does nothing.
unsafe fn nothing(_: *const (), _: usize, _: usize) {}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn new(threads: NonZeroUsize) -> Result<Self, Error> {
        let threads = threads.get();
        let shared = Arc::new(Shared {
            epoch: Line::default(),
            asked: (0..threads).map(|_| Line::default()).collect(),
            inside: Line::default(),
            asleep: Line::default(),
            stop: AtomicBool::new(false),
            job: UnsafeCell::new(Job { units: 0, work: nothing, closure: std::ptr::null() }),
            panic: Mutex::new(None),
        });
        let mut pool = Self { threads, shared, workers: Vec::with_capacity(threads - 1) };
        for thread in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let spawned =
                std::thread::Builder::new().name(format!("cpu-{thread}")).spawn(move || shared.serve(thread));
            // On failure the threads that started are stopped by `drop`.
            let worker = spawned.map_err(|e| Error::Threads { threads, reason: e.to_string() })?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// How many threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work(thread, unit)` once for every unit below `units`; `thread` is below [`Pool::threads`], and no two units
    /// run on the same thread at once. `&mut self`, because there is one job at a time.
    pub fn each<F: Fn(usize, usize) + Sync>(&mut self, units: usize, work: F) {
        if self.workers.is_empty() || units <= 1 {
            for unit in 0..units {
                work(0, unit);
            }
            return;
        }
        let shared = &*self.shared;
        let job = Job { units, work: call::<F>, closure: (&raw const work).cast() };
        // SAFETY: the last job was ended and its workers waited for, so no worker reads the cell, and `&mut self` excludes
        // another writer.
        unsafe { *shared.job.get() = job };
        for asked in &shared.asked {
            asked.0.store(0, Ordering::Relaxed);
        }
        // Publishes the writes above, and orders this write before the look at `asleep`: a worker counts itself
        // asleep before it looks at the epoch for the last time, so one of the two sees the other.
        shared.epoch.0.fetch_add(1, Ordering::SeqCst);
        if shared.asleep.0.load(Ordering::SeqCst) > 0 {
            for worker in &self.workers {
                worker.thread().unpark();
            }
        }
        // The job borrows `work`: its workers must be done before this frame goes, also by unwinding. One that comes late
        // finds the job ended: nobody waits for a thread that the system does not run.
        let outcome = catch_unwind(AssertUnwindSafe(|| shared.take(job, 0)));
        shared.epoch.0.fetch_add(1, Ordering::SeqCst);
        let mut spins = 0_u32;
        while shared.inside.0.load(Ordering::SeqCst) > 0 {
            spins += 1;
            // With fewer cores than threads the one that is waited for needs this one's.
            if spins.is_multiple_of(1 << 10) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
        if let Some(panic) = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
            resume_unwind(panic);
        }
    }

    /// Runs `work(thread, group, tile, part)` for every group of rows and every tile of columns of some planes.
    pub fn split<'a, P: Split + Sync>(
        &mut self,
        planes: &'a mut P,
        groups: &'a Groups,
        tiles: usize,
        work: impl Fn(usize, usize, usize, P::Part<'a>) + Sync,
    ) {
        // Borrowed for as long as the parts may live: no second call can hand them out again before.
        let planes = &*planes;
        assert!(groups.rows <= planes.rows(), "groups of rows that the plane does not have");
        self.each(groups.len() * tiles, |thread, unit| {
            let (group, tile) = (unit / tiles, unit % tiles);
            // SAFETY: the rows of different groups differ, the columns of different tiles do, and every unit runs once.
            let part = unsafe { planes.part(groups.get(group), tile) };
            work(thread, group, tile, part);
        });
    }

    /// Runs `work(thread, i, tile)` for the `i`-th run of `tile` elements of `out`; the last may be shorter. `cost` is
    /// about what one tile takes in multiply-adds.
    pub fn tiles<T: Send>(
        &mut self,
        out: &mut [T],
        tile: usize,
        cost: usize,
        work: impl Fn(usize, usize, &mut [T]) + Sync,
    ) {
        if out.is_empty() || tile == 0 {
            return;
        }
        let at_once = at_once(cost);
        let len = out.len();
        let tiles = len.div_ceil(tile);
        let start = Pointer(out.as_mut_ptr());
        self.each(tiles.div_ceil(at_once), |thread, unit| {
            for i in unit * at_once..tiles.min((unit + 1) * at_once) {
                let from = i * tile;
                // SAFETY: tiles of different `i` do not overlap, lie within `out`, which is borrowed for this call, and
                // every `i` belongs to one unit, which runs once.
                let part = unsafe { std::slice::from_raw_parts_mut(start.at(from), tile.min(len - from)) };
                work(thread, i, part);
            }
        });
    }

    /// Runs `work(r, row)` for every row of a plane; `cost` is about what one takes in multiply-adds.
    pub fn rows(&mut self, x: &mut Act, cost: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
        let width = x.width();
        self.tiles(x.values_mut(), width, cost, |_, r, row| work(r, row));
    }
}

/// How many pieces of work of `cost` multiply-adds make one worth handing over.
pub(super) fn at_once(cost: usize) -> usize {
    (GRAIN / cost.max(1)).max(1)
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.epoch.0.fetch_add(1, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker catches its panics; one that died otherwise has nothing left to say.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// A worker's life.
    fn serve(&self, thread: usize) {
        let mut seen = 0;
        loop {
            self.wait(seen);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.inside.0.fetch_add(1, Ordering::SeqCst);
            seen = self.epoch.0.load(Ordering::SeqCst);
            if !seen.is_multiple_of(2) {
                // SAFETY: an odd epoch was seen by a worker that is counted: the owner does not write the cell again before
                // `inside` is 0, which needs this worker.
                let job = unsafe { *self.job.get() };
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.take(job, thread))) {
                    *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
                }
            }
            self.inside.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Waits for a job after that of epoch `seen`.
    fn wait(&self, seen: u32) {
        let news = |ordering| {
            let epoch = self.epoch.0.load(ordering);
            epoch != seen && !epoch.is_multiple_of(2)
        };
        for _ in 0..SPINS {
            if news(Ordering::Acquire) {
                return;
            }
            std::hint::spin_loop();
        }
        self.asleep.0.fetch_add(1, Ordering::SeqCst);
        while !news(Ordering::SeqCst) {
            std::thread::park();
        }
        self.asleep.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Runs the units of the thread's own share, then what is left of the others'.
    fn take(&self, job: Job, thread: usize) {
        let threads = self.asked.len();
        for owner in (thread..threads).chain(0..thread) {
            let (share, asked) = (share(job.units, threads, owner), &self.asked[owner].0);
            // Looked at before it is counted up: many threads that find nothing left need not take its line from each other.
            while asked.load(Ordering::Relaxed) < share.len() {
                let unit = share.start + asked.fetch_add(1, Ordering::Relaxed);
                if unit >= share.end {
                    break;
                }
                // SAFETY: `each` keeps the closure alive until `inside` is 0, and its type is that of `work`.
                unsafe { (job.work)(job.closure, thread, unit) };
            }
        }
    }
}

/// The units that a thread begins with: consecutive, all of a job's between the threads, one more or less for each.
fn share(units: usize, threads: usize, thread: usize) -> Range<usize> {
    let (each, more) = (units / threads, units % threads);
    let start = each * thread + more.min(thread);
    start..start + each + usize::from(thread < more)
}

/// Something for each thread of a pool.
#[derive(Debug)]
pub struct PerThread<T>(Vec<Line<Mutex<T>>>);

impl<T: Default> PerThread<T> {
    /// For so many threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Line(Mutex::new(T::default()))).collect())
    }

    /// That of one thread. Nobody else asks for it, so the lock is free.
    pub fn get(&self, thread: usize) -> MutexGuard<'_, T> {
        self.0[thread].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A partition of rows into groups: rows of the same expert, or each row by itself.
#[derive(Debug, Default)]
pub struct Groups {
    /// All rows below `rows`, each once, group after group.
    order: Vec<u32>,
    /// Where each group starts in `order`, and the end of the last.
    starts: Vec<u32>,
    /// The key of each group.
    keys: Vec<u32>,
    /// How many rows there are.
    rows: usize,
    counts: Vec<u32>,
}

impl Groups {
    /// Groups rows by key, keys ascending, rows of one key ascending; `keys` are below `count`.
    pub fn by_key(&mut self, keys: &[u32], count: usize) {
        self.counts.clear();
        self.counts.resize(count + 1, 0);
        for &key in keys {
            self.counts[key as usize + 1] += 1;
        }
        self.starts.clear();
        self.keys.clear();
        let mut end = 0;
        for (key, n) in self.counts.iter_mut().skip(1).enumerate() {
            if *n > 0 {
                self.keys.push(key as u32);
                self.starts.push(end);
            }
            let first = end;
            end += *n;
            *n = first;
        }
        self.starts.push(end);
        self.rows = keys.len();
        self.order.clear();
        self.order.resize(keys.len(), 0);
        for (row, &key) in keys.iter().enumerate() {
            let at = &mut self.counts[key as usize + 1];
            self.order[*at as usize] = row as u32;
            *at += 1;
        }
    }

    /// Runs of up to `run` consecutive rows.
    pub fn runs(&mut self, rows: usize, run: usize) {
        self.order.clear();
        self.order.extend(0..rows as u32);
        self.starts.clear();
        self.starts.extend((0..rows as u32).step_by(run.max(1)));
        self.keys.clear();
        self.keys.resize(self.starts.len(), 0);
        self.starts.push(rows as u32);
        self.rows = rows;
    }

    /// How many rows they have together.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The rows of a group.
    #[must_use]
    pub fn get(&self, group: usize) -> &[u32] {
        &self.order[self.starts[group] as usize..self.starts[group + 1] as usize]
    }

    /// What the rows of a group have in common.
    #[must_use]
    pub fn key(&self, group: usize) -> usize {
        self.keys[group] as usize
    }
}

/// Planes that can be written in parts: some rows, one tile of columns.
pub trait Split {
    /// A part.
    type Part<'a>
    where
        Self: 'a;
    /// How many rows they have.
    fn rows(&self) -> usize;
    /// The part of `rows`, all below [`Split::rows`], and of tile `tile`.
    ///
    /// # Safety
    /// No other living part has one of the rows and the same tile.
    unsafe fn part<'a>(&'a self, rows: &'a [u32], tile: usize) -> Self::Part<'a>;
}

/// One plane, cut into tiles of columns.
#[derive(Debug)]
pub struct Columns<'p, T> {
    values: Pointer<T>,
    rows: usize,
    width: usize,
    first: usize,
    count: usize,
    tile: usize,
    plane: PhantomData<&'p mut [T]>,
}

impl<'p, T: Send> Columns<'p, T> {
    /// Tiles of `tile` columns of columns `first .. first + count` of a plane of rows of `width`; the last may be narrower.
    pub fn new(values: &'p mut [T], width: usize, first: usize, count: usize, tile: usize) -> Self {
        assert!(first + count <= width && tile > 0, "columns that the plane does not have");
        let rows = values.len() / width.max(1);
        Self { values: Pointer(values.as_mut_ptr()), rows, width, first, count, tile, plane: PhantomData }
    }
}

/// Some rows' share of a tile of columns.
#[derive(Debug)]
pub struct Part<'a, T> {
    values: *mut T,
    rows: &'a [u32],
    stride: usize,
    width: usize,
    plane: PhantomData<&'a mut T>,
}

impl<T> Part<'_, T> {
    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }
    /// How many columns of each.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }
    /// The columns of its `i`-th row.
    #[must_use]
    pub fn row(&mut self, i: usize) -> &mut [T] {
        let at = self.rows[i] as usize * self.stride;
        // SAFETY: `Columns::part` placed `values` at the tile's first column of row 0, whose plane has this row; the part is
        // the only one with it, and `&mut self` lets out one slice at a time.
        unsafe { std::slice::from_raw_parts_mut(self.values.add(at), self.width) }
    }
}

impl<T: Send> Split for Columns<'_, T> {
    type Part<'a>
        = Part<'a, T>
    where
        Self: 'a;
    fn rows(&self) -> usize {
        self.rows
    }
    unsafe fn part<'a>(&'a self, rows: &'a [u32], tile: usize) -> Part<'a, T> {
        let from = (tile * self.tile).min(self.count);
        let width = self.tile.min(self.count - from);
        Part {
            values: self.values.at(self.first + from),
            rows,
            stride: self.width,
            width,
            plane: PhantomData,
        }
    }
}

impl<A: Split, B: Split> Split for (A, B) {
    type Part<'a>
        = (A::Part<'a>, B::Part<'a>)
    where
        Self: 'a;
    fn rows(&self) -> usize {
        self.0.rows().min(self.1.rows())
    }
    unsafe fn part<'a>(&'a self, rows: &'a [u32], tile: usize) -> Self::Part<'a> {
        // SAFETY: the caller's promise holds for each plane.
        unsafe { (self.0.part(rows, tile), self.1.part(rows, tile)) }
    }
}

/// A plane that may not be there.
impl<A: Split> Split for Option<A> {
    type Part<'a>
        = Option<A::Part<'a>>
    where
        Self: 'a;
    fn rows(&self) -> usize {
        self.as_ref().map_or(usize::MAX, A::rows)
    }
    unsafe fn part<'a>(&'a self, rows: &'a [u32], tile: usize) -> Self::Part<'a> {
        // SAFETY: the caller's promise holds for the plane.
        self.as_ref().map(|plane| unsafe { plane.part(rows, tile) })
    }
}

/// A pointer that several threads may hold: they use it for parts that do not overlap.
#[derive(Debug)]
struct Pointer<T>(*mut T);

impl<T> Pointer<T> {
    fn at(&self, index: usize) -> *mut T {
        // Wrapping: the end of an empty plane is computed, too, and not used.
        self.0.wrapping_add(index)
    }
}

// SAFETY: the holders write parts that do not overlap, and what they write can be sent.
unsafe impl<T: Send> Sync for Pointer<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Pointer<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    fn pool(threads: usize) -> Pool {
        Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap()
    }

    #[test]
    fn every_unit_runs_once() {
        for threads in [1, 2, 5] {
            let mut pool = pool(threads);
            for units in [0, 1, 2, 3, 64, 1000] {
                let counts: Vec<AtomicU64> = (0..units).map(|_| AtomicU64::new(0)).collect();
                for _ in 0..20 {
                    pool.each(units, |thread, unit| {
                        assert!(thread < threads);
                        counts[unit].fetch_add(1, Ordering::Relaxed);
                    });
                }
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 20), "{threads} {units}");
            }
        }
    }

    #[test]
    fn shares_follow_each_other() {
        for (units, threads) in [(0, 3), (2, 3), (3, 3), (11, 4), (1000, 7)] {
            let shares: Vec<_> = (0..threads).map(|t| share(units, threads, t)).collect();
            assert_eq!((shares[0].start, shares[threads - 1].end), (0, units));
            assert!(shares.windows(2).all(|s| s[0].end == s[1].start && s[0].len() - s[1].len() <= 1));
        }
    }

    #[test]
    fn who_is_done_helps() {
        let mut pool = pool(2);
        // One unit waits for all the others, those of its own thread's share among them.
        let done = AtomicUsize::new(0);
        pool.each(8, |_, unit| match unit {
            0 => {
                while done.load(Ordering::Acquire) < 7 {
                    std::thread::yield_now();
                }
            }
            _ => {
                done.fetch_add(1, Ordering::Release);
            }
        });
        assert_eq!(done.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn a_sleeping_thread_wakes() {
        let mut pool = pool(3);
        let count = AtomicUsize::new(0);
        for _ in 0..3 {
            while pool.shared.asleep.0.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
            pool.each(100, |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(count.load(Ordering::Relaxed), 300);
    }

    #[test]
    fn a_panic_comes_back_and_the_pool_lives() {
        let mut pool = pool(3);
        for bad in [0, 50, 99] {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.each(100, |_, unit| assert!(unit != bad, "unit {bad}"));
            }));
            assert!(outcome.is_err());
        }
        let count = AtomicUsize::new(0);
        pool.each(10, |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn groups_are_a_partition() {
        let mut groups = Groups::default();
        groups.by_key(&[3, 1, 3, 0, 1, 3], 5);
        let got: Vec<_> = (0..groups.len()).map(|g| (groups.key(g), groups.get(g).to_vec())).collect();
        assert_eq!(got, [(0, vec![3]), (1, vec![1, 4]), (3, vec![0, 2, 5])]);
        groups.runs(5, 2);
        let got: Vec<_> = (0..groups.len()).map(|g| groups.get(g).to_vec()).collect();
        assert_eq!(got, [vec![0, 1], vec![2, 3], vec![4]]);
        groups.by_key(&[], 4);
        assert!(groups.is_empty());
        groups.runs(0, 8);
        assert!(groups.is_empty());
    }

    #[test]
    fn parts_cover_the_columns_once() {
        let mut pool = pool(4);
        let (mut a, mut b) = (vec![0_u32; 7 * 40], vec![0_u32; 7 * 35]);
        let mut groups = Groups::default();
        groups.by_key(&[2, 0, 2, 1, 0, 2, 2], 3);
        // Columns 3 .. 38 of one plane and all of the other, in tiles of 16, 16 and 3.
        let mut planes = (Columns::new(&mut a, 40, 3, 35, 16), Columns::new(&mut b, 35, 0, 35, 16));
        pool.split(&mut planes, &groups, 3, |_, group, tile, (mut a, mut b)| {
            assert_eq!(a.rows(), groups.get(group).len());
            for i in 0..a.rows() {
                a.row(i).iter_mut().for_each(|v| *v += 1 + tile as u32);
                b.row(i).iter_mut().for_each(|v| *v += 1 + groups.get(group)[i]);
            }
        });
        for (r, row) in a.chunks(40).enumerate() {
            for (c, v) in row.iter().enumerate() {
                let want = if (3..38).contains(&c) { 1 + (c as u32 - 3) / 16 } else { 0 };
                assert_eq!(*v, want, "row {r} column {c}");
            }
        }
        assert!(b.chunks(35).enumerate().all(|(r, row)| row.iter().all(|&v| v == 1 + r as u32)));
    }
}

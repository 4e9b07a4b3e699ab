//! Threads that run chains. Plugins never run on the threads of the runtime, which serve timers and
//! connections.

use super::chain::{Chain, Outcome};
use crate::locked::{Locked, unpoisoned};
use crate::plugin::sandbox::MAX_PLUGIN_THREADS;
use crate::step::Envelope;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tracing::debug;

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that may wait for a thread. Each caller waits for its result, so that at most one job per
/// caller waits.
const MAX_WAITING_JOBS: usize = 1024;

/// Time without a job after which a thread ends. Until then it keeps its stack, and some hundred KiB of
/// memory that it has freed, in small blocks that each hold a page.
const IDLE_TIME: Duration = Duration::from_secs(20);

/// A pool of threads. They start when there are jobs for them, and end without jobs, or when the pool is
/// dropped. The first one stays, so that jobs run even if the system refuses further threads.
#[derive(Debug)]
pub struct ChainPool {
    threads: Arc<Threads>,
    /// Limits the number of threads that run a chain with a plugin that may wait for memory.
    may_wait: Arc<Semaphore>,
}

/// The threads and their jobs.
struct Threads {
    work: Locked<Work>,
    /// Wakes each thread.
    wake: Vec<Condvar>,
    idle_time: Duration,
}

#[derive(Default)]
struct Work {
    jobs: VecDeque<Job>,
    /// Numbers of the threads without a job. The last one, which had a job most recently, gets the
    /// next job: its memory is still in the caches of the processor. Most threads never run as long
    /// as events come one by one.
    idle: Vec<usize>,
    /// Numbers of the threads that do not run.
    absent: Vec<usize>,
    /// The pool was dropped: nothing follows.
    closed: bool,
}

/// A thread of the pool gave no result for an event.
#[derive(Debug, thiserror::Error)]
#[error("a thread that runs plugins ended unexpectedly")]
pub struct PoolError;

impl ChainPool {
    /// Largest number of threads. It exceeds the number of processors: while some plugins hang
    /// until their time limit, the system shares the processors among all threads.
    pub const THREADS: usize = MAX_PLUGIN_THREADS;

    /// Creates a pool of up to `threads` threads, and starts the first.
    ///
    /// # Errors
    ///
    /// The operating system refuses a thread.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        Self::with_idle_time(threads, IDLE_TIME)
    }

    fn with_idle_time(threads: usize, idle_time: Duration) -> std::io::Result<Self> {
        let threads = threads.clamp(1, Self::THREADS);
        let pool = Self {
            threads: Arc::new(Threads {
                work: Locked::new(Work {
                    absent: (1..threads).rev().collect(),
                    ..Work::default()
                }),
                wake: (0..threads).map(|_| Condvar::new()).collect(),
                idle_time,
            }),
            may_wait: Arc::new(Semaphore::new(threads.div_ceil(2))),
        };
        pool.threads.start(0)?;
        Ok(pool)
    }

    /// Passes an event through a chain.
    ///
    /// # Errors
    ///
    /// The thread panicked, or the queue is full.
    pub async fn process(
        &self,
        chain: Arc<Chain>,
        envelope: Envelope,
    ) -> Result<Outcome, PoolError> {
        if chain.plugins().is_empty() {
            return Ok(chain.process(envelope));
        }
        let (answer, outcome) = oneshot::channel();
        // Plugins that need much memory block their threads while they wait for it. Half of the
        // threads are reserved for other plugins.
        let permit = match chain.may_wait(&envelope) {
            true => self.may_wait.clone().acquire_owned().await.ok(),
            false => None,
        };
        let job: Job = Box::new(move || {
            drop(answer.send(chain.process(envelope)));
            drop(permit);
        });
        self.threads.submit(job)?;
        outcome.await.map_err(|_| PoolError)
    }
}

impl Drop for ChainPool {
    fn drop(&mut self) {
        self.threads.work.lock().closed = true;
        self.threads.wake.iter().for_each(Condvar::notify_one);
    }
}

impl Threads {
    fn start(self: &Arc<Self>, number: usize) -> std::io::Result<()> {
        let threads = self.clone();
        let thread = std::thread::Builder::new().name(format!("plugin-{number}"));
        thread.spawn(move || threads.run(number)).map(drop)
    }

    /// Adds a job, and wakes or starts a thread for it.
    fn submit(self: &Arc<Self>, job: Job) -> Result<(), PoolError> {
        let mut work = self.work.lock();
        if work.jobs.len() >= MAX_WAITING_JOBS {
            return Err(PoolError);
        }
        work.jobs.push_back(job);
        if let Some(number) = work.idle.pop() {
            if let Some(thread) = self.wake.get(number) {
                thread.notify_one();
            }
        } else if let Some(number) = work.absent.pop()
            && let Err(error) = self.start(number)
        {
            // The threads that run take the job, one after the other.
            debug!(%error, "the system refuses a thread for plugins");
            work.absent.push(number);
        }
        Ok(())
    }

    /// Runs jobs on the thread with this number, until the pool was dropped and no job is left.
    fn run(&self, number: usize) {
        while let Some(job) = self.next(number) {
            // A panic here is a fault of the host, not of a plugin. It drops the job's sender, so
            // the caller gets an error.
            drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)));
        }
    }

    /// Waits for a job. Returns `None` after the last one, and if none comes for a while: the thread then
    /// counts as absent.
    fn next(&self, number: usize) -> Option<Job> {
        let mut work = self.work.lock();
        let wake = self.wake.get(number)?;
        loop {
            if work.jobs.is_empty() && !work.closed {
                work.idle.push(number);
                let waits = |work: &mut Work| !work.closed && work.idle.contains(&number);
                if number == 0 {
                    work = unpoisoned(wake.wait_while(work, waits));
                } else {
                    let waited = wake.wait_timeout_while(work, self.idle_time, waits);
                    let (now, wait) = unpoisoned(waited);
                    work = now;
                    if wait.timed_out() {
                        work.idle.retain(|idle| *idle != number);
                        work.absent.push(number);
                        return None;
                    }
                }
            }
            // Another thread may have taken the job.
            match work.jobs.pop_front() {
                None if !work.closed => {}
                job => return job,
            }
        }
    }
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Barrier, mpsc};

    /// Waits until the work of a pool meets a condition.
    fn wait_for(pool: &ChainPool, condition: impl Fn(&Work) -> bool) {
        while !condition(&pool.threads.work.lock()) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn jobs_that_come_one_by_one_run_on_the_same_thread() {
        let pool = ChainPool::new(4).unwrap();
        let (sender, names) = mpsc::channel();
        let all_idle = || wait_for(&pool, |work| work.idle.len() + work.absent.len() == 4);
        for _ in 0..20 {
            all_idle();
            let sender = sender.clone();
            let job = move || {
                sender
                    .send(std::thread::current().name().map(str::to_owned))
                    .unwrap()
            };
            pool.threads.submit(Box::new(job)).unwrap();
        }
        all_idle();
        drop(sender);
        let names: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[test]
    fn jobs_that_come_together_run_side_by_side_and_then_all_but_one_thread_end() {
        const THREADS: usize = 4;
        let pool = ChainPool::with_idle_time(THREADS, Duration::ZERO).unwrap();
        for _ in 0..20 {
            let together = Arc::new(Barrier::new(THREADS + 1));
            for _ in 0..THREADS {
                let together = together.clone();
                let job = move || {
                    together.wait();
                };
                pool.threads.submit(Box::new(job)).unwrap();
            }
            // Returns only if each job has a thread.
            together.wait();
            wait_for(&pool, |work| {
                work.idle == [0] && work.absent.len() == THREADS - 1
            });
        }
        // Other threads than the first do not stay either, if they were the last to have a job.
        let threads = &pool.threads;
        while Arc::strong_count(threads) > 2 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_thread_waits_for_the_next_job_before_it_ends() {
        let pool = ChainPool::with_idle_time(2, Duration::MAX).unwrap();
        let together = Arc::new(Barrier::new(3));
        for _ in 0..2 {
            let together = together.clone();
            let job = move || {
                together.wait();
            };
            pool.threads.submit(Box::new(job)).unwrap();
        }
        together.wait();
        wait_for(&pool, |work| work.idle.len() == 2 && work.absent.is_empty());
    }

    #[test]
    fn every_job_runs_before_the_threads_end() {
        let (sender, ran) = mpsc::channel();
        let pool = ChainPool::new(3).unwrap();
        for number in 0..500 {
            let sender = sender.clone();
            pool.threads
                .submit(Box::new(move || sender.send(number).unwrap()))
                .unwrap();
        }
        let threads = pool.threads.clone();
        drop((pool, sender));
        let mut ran: Vec<_> = ran.iter().collect();
        ran.sort_unstable();
        assert!(ran.into_iter().eq(0..500));
        while Arc::strong_count(&threads) > 1 {
            std::thread::yield_now();
        }
    }
}

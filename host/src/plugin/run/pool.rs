//! Threads that run chains. Plugins never run on the threads of the runtime, which serve timers and
//! connections.

use super::chain::{Chain, Outcome};
use crate::locked::{Locked, unpoisoned};
use crate::plugin::sandbox::MAX_PLUGIN_THREADS;
use crate::step::Envelope;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar};
use tokio::sync::{Semaphore, oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that may wait for a thread. Each caller waits for its result, so that at most one job per
/// caller waits.
const MAX_WAITING_JOBS: usize = 1024;

/// A pool of threads. They end when the pool is dropped.
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
}

#[derive(Default)]
struct Work {
    jobs: VecDeque<Job>,
    /// Numbers of the threads without a job. The last one, which had a job most recently, gets the
    /// next job: its memory is still in the caches of the processor. Most threads never run as long
    /// as events come one by one.
    idle: Vec<usize>,
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

    /// Starts `threads` threads.
    ///
    /// # Errors
    ///
    /// The operating system refuses a thread.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let threads = threads.clamp(1, Self::THREADS);
        let pool = Self {
            threads: Arc::new(Threads {
                work: Locked::default(),
                wake: (0..threads).map(|_| Condvar::new()).collect(),
            }),
            may_wait: Arc::new(Semaphore::new(threads.div_ceil(2))),
        };
        for number in 0..threads {
            let threads = pool.threads.clone();
            std::thread::Builder::new()
                .name(format!("plugin-{number}"))
                .spawn(move || threads.run(number))?;
        }
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
    fn submit(&self, job: Job) -> Result<(), PoolError> {
        let mut work = self.work.lock();
        if work.jobs.len() >= MAX_WAITING_JOBS {
            return Err(PoolError);
        }
        work.jobs.push_back(job);
        if let Some(thread) = work.idle.pop().and_then(|number| self.wake.get(number)) {
            thread.notify_one();
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

    /// Waits for a job. Returns `None` after the last one.
    fn next(&self, number: usize) -> Option<Job> {
        let mut work = self.work.lock();
        let wake = self.wake.get(number)?;
        loop {
            if work.jobs.is_empty() && !work.closed {
                work.idle.push(number);
                let waits = |work: &mut Work| !work.closed && work.idle.contains(&number);
                work = unpoisoned(wake.wait_while(work, waits));
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
    use std::sync::mpsc;

    #[test]
    fn jobs_that_come_one_by_one_run_on_the_same_thread() {
        let pool = ChainPool::new(4).unwrap();
        let (sender, names) = mpsc::channel();
        let all_idle = || {
            while pool.threads.work.lock().idle.len() < 4 {
                std::thread::yield_now();
            }
        };
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

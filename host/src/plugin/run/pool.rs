//! Threads that run chains. Plugins never run on the threads of the runtime, which serve timers and
//! connections.

use super::chain::{Chain, Outcome};
use crate::locked::Locked;
use crate::plugin::sandbox::MAX_PLUGIN_THREADS;
use crate::step::Envelope;
use std::sync::{Arc, mpsc};
use tokio::sync::{Semaphore, oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads. They end when the pool is dropped.
#[derive(Debug)]
pub struct ChainPool {
    jobs: mpsc::SyncSender<Job>,
    /// Limits the number of threads that run a chain with a plugin that may wait for memory.
    may_wait: Arc<Semaphore>,
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
        // The queue only passes jobs to the threads: each caller waits for its result, so the queue
        // holds at most one job per caller.
        let (jobs, queue) = mpsc::sync_channel::<Job>(1024);
        let queue = Arc::new(Locked::new(queue));
        for number in 0..threads {
            let queue = queue.clone();
            std::thread::Builder::new()
                .name(format!("plugin-{number}"))
                .spawn(move || {
                    loop {
                        let job = queue.lock().recv();
                        let Ok(job) = job else { break };
                        // A panic here is a fault of the host, not of a plugin. It drops the job's
                        // sender, so the caller gets an error.
                        drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)));
                    }
                })?;
        }
        Ok(Self {
            jobs,
            may_wait: Arc::new(Semaphore::new(threads.div_ceil(2))),
        })
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
        self.jobs.try_send(job).map_err(|_| PoolError)?;
        outcome.await.map_err(|_| PoolError)
    }
}

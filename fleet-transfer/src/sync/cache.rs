//! Values that one host computes and the others wait for, within one budget of bytes.
//!
//! Who is cancelled while it computes leaves the work to the next that waits. What is beyond the budget is forgotten, the
//! longest unused first; whoever still holds it keeps it. Must not know what the values are.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

/// Something that takes memory.
pub(super) trait Weigh {
    /// How much, in bytes.
    fn weight(&self) -> usize;
}

/// Whose work a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Computed,
    Reused,
}

/// Values by their keys. Keys are cheap to clone.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    budget_bytes: usize,
    kept: Mutex<Kept<K, V>>,
}

#[derive(Debug)]
struct Kept<K, V> {
    slots: HashMap<K, Slot<V>>,
    /// Keys of values, the longest unused first.
    order: BTreeMap<u64, K>,
    uses: u64,
    bytes: usize,
    peak_bytes: usize,
}

#[derive(Debug)]
struct Slot<V> {
    cell: Arc<OnceCell<V>>,
    /// What it takes, and when it was used: once it is computed.
    kept: Option<(usize, u64)>,
}

impl<K: Clone + Eq + Hash + Weigh, V: Clone + Weigh> Cache<K, V> {
    pub(super) fn new(budget_bytes: usize) -> Self {
        let kept = Kept { slots: HashMap::new(), order: BTreeMap::new(), uses: 0, bytes: 0, peak_bytes: 0 };
        Self { budget_bytes, kept: Mutex::new(kept) }
    }

    /// The value of `key`: `compute` is called unless another has it, or is at it.
    pub(super) async fn get<E>(&self, key: &K, compute: impl AsyncFnOnce() -> Result<V, E>) -> Result<(V, Origin), E> {
        let cell = {
            let mut kept = self.lock();
            let slot = kept.slots.entry(key.clone());
            Arc::clone(&slot.or_insert_with(|| Slot { cell: Arc::default(), kept: None }).cell)
        };
        let mut origin = Origin::Reused;
        let value = cell
            .get_or_try_init(async || {
                origin = Origin::Computed;
                compute().await
            })
            .await;
        match value {
            Ok(value) => {
                self.used(key, &cell, value);
                Ok((value.clone(), origin))
            }
            Err(error) => {
                let mut kept = self.lock();
                if kept.slots.get(key).is_some_and(|slot| Arc::ptr_eq(&slot.cell, &cell) && !cell.initialized()) {
                    kept.remove(key);
                }
                Err(error)
            }
        }
    }

    /// Looks anew at what a value weighs that has grown since it was kept.
    pub(super) fn weigh_again(&self, key: &K) {
        let cell = self.lock().slots.get(key).map(|slot| Arc::clone(&slot.cell));
        if let Some((cell, value)) = cell.as_ref().and_then(|cell| Some((cell, cell.get()?))) {
            self.used(key, cell, value);
        }
    }

    /// Forgets what `is_stale` says of.
    pub(super) fn forget(&self, is_stale: impl Fn(&K) -> bool) {
        let mut kept = self.lock();
        let stale: Vec<K> = kept.slots.keys().filter(|key| is_stale(key)).cloned().collect();
        stale.iter().for_each(|key| kept.remove(key));
    }

    /// The most bytes that were ever kept.
    pub(super) fn peak_bytes(&self) -> usize {
        self.lock().peak_bytes
    }

    fn used(&self, key: &K, cell: &Arc<OnceCell<V>>, value: &V) {
        let mut guard = self.lock();
        let kept = &mut *guard;
        kept.uses += 1;
        let (uses, weight) = (kept.uses, key.weight() + value.weight());
        let Some(slot) = kept.slots.get_mut(key).filter(|slot| Arc::ptr_eq(&slot.cell, cell)) else { return };
        kept.bytes += weight;
        if let Some((former, before)) = slot.kept.replace((weight, uses)) {
            kept.bytes -= former;
            kept.order.remove(&before);
        }
        kept.order.insert(uses, key.clone());
        while kept.bytes > self.budget_bytes {
            let Some((_, oldest)) = kept.order.pop_first() else { break };
            kept.remove(&oldest);
        }
        kept.peak_bytes = kept.peak_bytes.max(kept.bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K, V>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    fn remove(&mut self, key: &K) {
        if let Some((bytes, used)) = self.slots.remove(key).and_then(|slot| slot.kept) {
            self.bytes -= bytes;
            self.order.remove(&used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for u32 {
        fn weight(&self) -> usize {
            0
        }
    }

    impl Weigh for &'static [u8] {
        fn weight(&self) -> usize {
            self.len()
        }
    }

    async fn get(cache: &Cache<u32, &'static [u8]>, key: u32) -> Origin {
        cache.get(&key, async || Ok::<_, ()>(&[0_u8; 40][..])).await.unwrap().1
    }

    #[tokio::test]
    async fn what_is_longest_unused_is_forgotten_first() {
        let cache = Cache::new(100);
        for (key, origin) in [
            (1, Origin::Computed),
            (2, Origin::Computed),
            (1, Origin::Reused),
            (3, Origin::Computed),
            (1, Origin::Reused),
            (2, Origin::Computed),
            (1, Origin::Reused),
        ] {
            assert_eq!(get(&cache, key).await, origin, "{key}");
        }
        assert_eq!(cache.peak_bytes(), 80);
        cache.forget(|key| *key == 1);
        assert_eq!(get(&cache, 1).await, Origin::Computed);
    }

    #[tokio::test]
    async fn what_has_grown_is_weighed_again() {
        #[derive(Clone)]
        struct Grows(Arc<std::sync::atomic::AtomicUsize>);
        impl Weigh for Grows {
            fn weight(&self) -> usize {
                self.0.load(std::sync::atomic::Ordering::Relaxed)
            }
        }
        let (cache, weight) = (Cache::new(100), Arc::new(std::sync::atomic::AtomicUsize::new(10)));
        let get = async |key: u32| {
            let value = Grows(Arc::clone(&weight));
            cache.get(&key, async || Ok::<_, ()>(value)).await.map(|(_, origin)| origin).unwrap()
        };
        get(1).await;
        weight.store(90, std::sync::atomic::Ordering::Relaxed);
        cache.weigh_again(&1);
        assert_eq!(cache.peak_bytes(), 90);
        get(2).await;
        assert_eq!((get(2).await, get(1).await), (Origin::Reused, Origin::Computed));
    }

    #[tokio::test]
    async fn one_computes_and_the_others_wait_also_when_it_gives_up() {
        let cache = Cache::new(100);
        let (cache, computed) = (&cache, &std::sync::atomic::AtomicU32::new(0));
        let (start, started) = tokio::sync::oneshot::channel::<()>();
        let never = async move {
            let waits = async || {
                let _ = start.send(());
                std::future::pending::<Result<&'static [u8], ()>>().await
            };
            cache.get(&1, waits).await.map(drop)
        };
        let others = async move {
            started.await.unwrap();
            tokio::task::yield_now().await;
        };
        tokio::select! { _ = never => unreachable!(), () = others => {} }
        let one = || async {
            let compute = async || {
                computed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok::<_, ()>(&b"x"[..])
            };
            cache.get(&1, compute).await.unwrap().1
        };
        assert_eq!(tokio::join!(one(), one()), (Origin::Computed, Origin::Reused));
        assert_eq!(computed.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_fails_is_tried_again() {
        let cache: Cache<u32, &'static [u8]> = Cache::new(100);
        assert_eq!(cache.get(&1, async || Err("no")).await, Err("no"));
        assert_eq!(get(&cache, 1).await, Origin::Computed);
    }
}

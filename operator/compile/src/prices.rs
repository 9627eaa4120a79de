//! What models cost that no Provider prices: the overlay of whoever runs the operator before the catalogue.

mod catalogue;
mod entry;
mod overlay;

pub use catalogue::Catalogue;
pub use entry::Entry;
pub use overlay::Overlay;

use std::collections::BTreeMap;
use std::sync::Arc;
use weir_snapshot::{Kind, ModelPrice, Prices, ProviderType, Resource, ResourceId, Sealed};

/// The overlay and the catalogue together, by provider type.
pub(crate) struct PriceLists {
    overlay: Option<Arc<Overlay>>,
    lists: BTreeMap<ProviderType, Arc<Sealed>>,
}

impl PriceLists {
    fn new(overlay: Option<Arc<Overlay>>) -> Self {
        let mut lists: BTreeMap<ProviderType, Vec<ModelPrice>> = BTreeMap::new();
        let all = overlay.iter().flat_map(|overlay| &overlay.models).chain(&Catalogue::built_in().prices);
        for (provider_type, models) in all {
            lists.entry(*provider_type).or_default().extend_from_slice(models);
        }
        let seal = |(of, models)| (of, Arc::new(Sealed::new(Prices::from(models))));
        Self { overlay, lists: lists.into_iter().map(seal).collect() }
    }

    /// The lists with that overlay, these themselves where it is theirs.
    pub(crate) fn followed_by(self: &Arc<Self>, overlay: Option<&Arc<Overlay>>) -> Arc<Self> {
        if self.overlay.as_ref() == overlay { Arc::clone(self) } else { Arc::new(Self::new(overlay.cloned())) }
    }

    /// What is known of a model, by the provider's name for it.
    pub(crate) fn find(&self, of: ProviderType, name: &str) -> Option<&ModelPrice> {
        let Resource::Prices(prices) = &self.lists.get(&of)?.resource else { return None };
        prices.find(name)
    }

    /// What pods get, to look up models that a Provider does not list.
    pub(crate) fn resource(&self, of: ProviderType) -> Option<(ResourceId, Arc<Sealed>)> {
        let list = self.lists.get(&of)?;
        Some((ResourceId::new(Kind::Prices, "", of.as_str()), Arc::clone(list)))
    }
}

impl Default for PriceLists {
    fn default() -> Self {
        Self::new(None)
    }
}

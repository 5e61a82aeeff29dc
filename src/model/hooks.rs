//! Hook points of the forward pass, named as TransformerLens names them, and the trait that may read or change them.
//!
//! Hooks are passed into one forward call; nothing is registered on the model, so there is nothing to take off again.
//! The model does not know what a hook is for.

use std::fmt;

use crate::tensor::{Device, Tensor};

use crate::error::Result;

/// A place inside a decoder block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookSite {
    /// What enters the block. `[query, d_model]`
    ResidPre,
    /// Before the rotary embedding. `[head, query, d_head]`
    Q,
    /// Before the rotary embedding. `[kv_head, query, d_head]`
    K,
    /// `[kv_head, query, d_head]`
    V,
    /// Scaled, causally masked (−∞), before the softmax. `[head, query, key]`
    AttnScores,
    /// After the softmax. `[head, query, key]`
    Pattern,
    /// Pattern times values. `[head, query, d_head]`
    Z,
    /// `[query, d_model]`
    AttnOut,
    /// `[query, d_model]`
    ResidMid,
    /// `[query, d_model]`
    MlpOut,
    /// What leaves the block. `[query, d_model]`
    ResidPost,
}

impl HookSite {
    pub const ALL: [Self; 11] = [
        Self::ResidPre,
        Self::Q,
        Self::K,
        Self::V,
        Self::AttnScores,
        Self::Pattern,
        Self::Z,
        Self::AttnOut,
        Self::ResidMid,
        Self::MlpOut,
        Self::ResidPost,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::ResidPre => "hook_resid_pre",
            Self::Q => "attn.hook_q",
            Self::K => "attn.hook_k",
            Self::V => "attn.hook_v",
            Self::AttnScores => "attn.hook_attn_scores",
            Self::Pattern => "attn.hook_pattern",
            Self::Z => "attn.hook_z",
            Self::AttnOut => "hook_attn_out",
            Self::ResidMid => "hook_resid_mid",
            Self::MlpOut => "hook_mlp_out",
            Self::ResidPost => "hook_resid_post",
        }
    }
}

/// A place in the decoder. Prints as `blocks.7.attn.hook_pattern`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HookPoint {
    /// Decoder block, 0-based.
    pub layer: usize,
    pub site: HookSite,
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocks.{}.{}", self.layer, self.site.name())
    }
}

/// Reads or changes activations on their way. By default every point is the identity.
pub trait Hooks {
    /// Whether [`Hooks::visit`] is to be called at this point.
    fn wants(&self, _at: HookPoint) -> bool {
        false
    }

    /// Scores that become −∞ in this block, so that the softmax gives them exactly 0: 1 at each of
    /// `[head or 1, query, key]`, u8, on `device`. `pass` is (position of the first query row, queries, keys).
    ///
    /// This acts before [`HookSite::AttnScores`] is visited and needs no score to be computed by itself.
    ///
    /// # Errors
    /// Whatever the computation met.
    fn blocked(
        &mut self,
        _layer: usize,
        _pass: (usize, usize, usize),
        _device: &Device,
    ) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Gets the activation and returns what the pass goes on with. `first_pos` is the sequence position of the
    /// first query row; keys always start at position 0.
    ///
    /// # Errors
    /// [`crate::error::Error::Cancelled`] to stop the pass; whatever the computation met.
    fn visit(&mut self, _at: HookPoint, _first_pos: usize, x: Tensor) -> Result<Tensor> {
        Ok(x)
    }
}

/// No hooks at all.
pub struct NoHooks;

impl Hooks for NoHooks {}

/// Several hooks, visited in order: interventions first, then what records their effect.
pub struct Chain<'a>(pub Vec<&'a mut dyn Hooks>);

impl Hooks for Chain<'_> {
    fn wants(&self, at: HookPoint) -> bool {
        self.0.iter().any(|hooks| hooks.wants(at))
    }

    fn visit(&mut self, at: HookPoint, first_pos: usize, x: Tensor) -> Result<Tensor> {
        let mut x = x;
        for hooks in &mut self.0 {
            if hooks.wants(at) {
                x = hooks.visit(at, first_pos, x)?;
            }
        }
        Ok(x)
    }

    fn blocked(
        &mut self,
        layer: usize,
        pass: (usize, usize, usize),
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let mut all: Option<Tensor> = None;
        for hooks in &mut self.0 {
            all = match (all, hooks.blocked(layer, pass, device)?) {
                (Some(a), Some(b)) => Some(a.broadcast_maximum(&b)?),
                (a, b) => a.or(b),
            };
        }
        Ok(all)
    }
}

/// Visits a point if anyone wants it.
pub(super) fn pass(
    hooks: &mut dyn Hooks,
    layer: usize,
    site: HookSite,
    first_pos: usize,
    x: Tensor,
) -> Result<Tensor> {
    let at = HookPoint { layer, site };
    match hooks.wants(at) {
        true => hooks.visit(at, first_pos, x),
        false => Ok(x),
    }
}

    // Part of both loops of attention_matrix: the scores of 64 queries against 32 keys, as every invocation's row has them.
    workgroupBarrier();
    stage_keys(kv_head, k0, stop, t);
    workgroupBarrier();
    low = zero;
    high = zero;
    each c HC: { let y = coopLoad<coop_mat16x16<f16, B>>(&staged[$cu * 4u], staged_gap); low = coopMultiplyAdd(x$c, y, low); }
    each c HC: { let y = coopLoad<coop_mat16x16<f16, B>>(&staged[D4 / 2u + $cu * 4u], staged_gap); low = coopMultiplyAdd(z$c, y, low); }
    each c HC: { let y = coopLoad<coop_mat16x16<f16, B>>(&staged[16u * GAP + $cu * 4u], staged_gap); high = coopMultiplyAdd(x$c, y, high); }
    each c HC: { let y = coopLoad<coop_mat16x16<f16, B>>(&staged[16u * GAP + D4 / 2u + $cu * 4u], staged_gap); high = coopMultiplyAdd(z$c, y, high); }
    let low_done = low;
    let high_done = high;
    let high_scores = my_scores + 16u;
    coopStoreT(low_done, &scores[my_scores], scores_gap);
    coopStoreT(high_done, &scores[high_scores], scores_gap);
    workgroupBarrier();
    let bits = seen_bits(head, row, k0, stop);

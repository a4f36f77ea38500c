#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>

namespace holdfast {

// Who may publish how much: what keeps a worker that floods the bus from starving the others, and the bus from holding up the
// connections. A turn of the loop has room for so many bytes of deliveries; those who have something to say share it. A
// publisher pays for what it causes: the bytes of its frame times those who get them. It is read while it owes nothing; what
// it overdrew it works off in later turns. (Deficit round robin, Shreedhar and Varghese 1995.)
class BusCredits {
 public:
  using Publisher = std::uint32_t;
  explicit BusCredits(std::size_t bytes_in_turn) : in_turn_(static_cast<std::int64_t>(bytes_in_turn)) {}

  // Whether a frame of it may be read now. Asking is also how it takes part in the shares of the next turn.
  [[nodiscard]] bool may_read(Publisher publisher) {
    Account& account = accounts_[publisher];
    account.asked = true;
    return account.balance > 0 && spent_ < in_turn_;
  }
  void on_delivered(Publisher publisher, std::size_t bytes) {
    accounts_[publisher].balance -= static_cast<std::int64_t>(bytes);
    spent_ += static_cast<std::int64_t>(bytes);
  }
  // A turn is over. Who asked gets a share, and keeps what it could not use because the turn was over, up to a whole turn.
  void on_turn() {
    spent_ = 0;
    const auto askers = std::count_if(accounts_.begin(), accounts_.end(), [](const auto& a) { return a.second.asked; });
    if (askers == 0) return;
    const std::int64_t share = std::max<std::int64_t>(in_turn_ / askers, 1);
    for (auto& [publisher, account] : accounts_) {
      if (account.asked) account.balance = std::min(account.balance + share, in_turn_);
      account.asked = false;
    }
  }
  void forget(Publisher publisher) { accounts_.erase(publisher); }
  // Whether somebody was told to wait for the next turn.
  [[nodiscard]] bool somebody_waits() const {
    return std::any_of(accounts_.begin(), accounts_.end(),
                       [&](const auto& a) { return a.second.asked && (a.second.balance <= 0 || spent_ >= in_turn_); });
  }

 private:
  struct Account {
    std::int64_t balance = 1;  // who comes may say something at once
    bool asked = false;
  };
  std::int64_t in_turn_;
  std::int64_t spent_ = 0;
  std::map<Publisher, Account> accounts_;
};

}  // namespace holdfast
